//! A PBX asks: what it asks with, what the reference says to that, and whether the answer is the same.

use super::*;

impl History {
    pub(super) fn request(&self, call: usize, offer: &str, outcome: Option<OfferState>) -> RoutingRequest {
        let call = &self.calls[call];
        RoutingRequest {
            call: Some(call.name.clone()),
            caller: "+79990001101".into(),
            did: Some(number(call.queue)),
            asking_extension: None,
            dialled: Some(number(call.queue)),
            report: Report { offer: Some(offer.to_owned()).filter(|o| !o.is_empty()), outcome, digits: None, plain: false },
        }
    }

    /// The question as the reference sees it, and who is being rung for the call.
    pub(super) async fn question(
        &self,
        call: usize,
    ) -> (Waiting, Vec<Waiting>, HashMap<String, (i64, i64)>, Vec<Offer>, Option<RoutedCall>) {
        let now = self.now();
        let app = self.house.hookflash.roster.app(APP).expect("the centre");
        let (spec, soon) = (app.spec.clone(), now.plus_s(acd::SLACK_S + app.pbx.poll_s() + 1).0);
        let id = id::call_id(APP, &self.calls[call].name);
        let mine = id.clone();
        let queue = spec.queue[self.calls[call].queue].clone();
        let queues: Vec<String> = spec.queue.iter().map(|q| q.id.clone()).collect();
        let window = now.plus_s(-queue.window_s);
        let (row, rows, in_hand, tallies) = self
            .house
            .read(move |conn| {
                let mut rows = Vec::new();
                for queue in &queues {
                    rows.extend(routed::waiting(conn, APP, queue, now, 10_000)?);
                }
                let mut ids: Vec<String> = rows.iter().map(|r| r.call_id.clone()).collect();
                ids.push(mine.clone());
                Ok((routed::get(conn, APP, &mine)?, rows, offers::in_hand_of(conn, APP, &ids)?, routed::tallies(conn, APP, window)?))
            })
            .await;
        let of = |id: &str| in_hand.iter().filter(|o| o.call_id == id).cloned().collect::<Vec<Offer>>();
        let tries = |id: &str| {
            let mut tries = BTreeMap::new();
            for offer in of(id).into_iter().filter(|o| o.state().counts_as_tried()) {
                *tries.entry(offer.agent).or_insert(0) += 1;
            }
            tries
        };
        let stands = |o: &Offer| o.ended_at.is_none() && (o.state() == OfferState::Accepted || o.until > now.0);
        let waiting: Vec<Waiting> = rows
            .iter()
            .map(|r| Waiting {
                id: r.call_id.clone(),
                queue: r.queue.clone().unwrap_or_default(),
                rank_at: r.rank_at,
                joined_at: r.joined_at,
                tries: tries(&r.call_id),
                // It asks about now: it is not gone, nor does a phone ring for it still whose offer was taken back.
                wants: r.silent_at > now.plus_s(3).0 && r.silent_at <= soon && !of(&r.call_id).iter().any(stands),
                is_new: false,
            })
            .collect();
        let joins = row.as_ref().is_none_or(|r| !r.waiting);
        let first = row.as_ref().and_then(|r| Position::read(&r.place).joined).map_or(now.0, |joined| joined.0.min(now.0));
        let me = match &row {
            Some(row) if !joins => Waiting {
                id: id.clone(),
                queue: queue.id.clone(),
                rank_at: row.rank_at,
                joined_at: row.joined_at,
                tries: tries(&id),
                wants: true,
                is_new: false,
            },
            _ => Waiting {
                id: id.clone(),
                rank_at: first - queue.priority * queue.priority_age_s * 1_000_000,
                queue: queue.id.clone(),
                joined_at: now.0,
                tries: tries(&id),
                wants: true,
                is_new: true,
            },
        };
        (me, waiting, tallies, of(&id).into_iter().filter(stands).collect(), row)
    }

    pub(super) async fn ask(&mut self, call: usize, outcome: Option<OfferState>) {
        let (db, app) = (self.house.hookflash.db.clone(), self.house.hookflash.roster.app(APP).expect("the centre"));
        let now = self.now();
        let request = self.request(call, &self.calls[call].offer, outcome);
        if outcome.is_some() {
            // The first of the two transactions of a question: the reference looks between them.
            let (id, report, app) = (id::call_id(APP, &self.calls[call].name), request.report.clone(), app.clone());
            db.write(Durability::Process, move |conn| settle::report(conn, &app, &id, &report, now)).await.expect("settled");
            self.watch("the outcome").await;
        }
        let (me, waiting, tallies, standing, row) = self.question(call).await;
        let room = Room { spec: &app.spec, states: &self.seen.states, tallies: &tallies, waiting: &waiting, closing: CLOSING, now };
        let left = self.calls[call].stage == Stage::Over;
        let expected = (standing.is_empty() && !left).then(|| room.expected(&me));
        let eligible = room.eligible(&me);
        let answer = acd::ask(&db, &self.house.clock, &app, &request).await.expect("answered");
        self.outcome.asked += 1;
        let action = answer.action.clone().expect("an action");
        let dialled = match &action {
            Action::Dial(dial) => dial.agents.clone(),
            _ => Vec::new(),
        };
        let name = self.calls[call].name.clone();
        match &expected {
            Some(expected) => {
                self.joins += u64::from(me.is_new);
                self.compare(&name, expected, &action, &dialled, &me, &eligible);
            }
            None if left => {
                if self.calls[call].told.as_ref() != Some(&action) {
                    self.fault(11, format!("{name} has left and is told {action:?}"));
                }
            }
            None => {
                let now_rung: BTreeSet<&String> = standing.iter().map(|o| &o.agent).collect();
                let again = now_rung.iter().all(|a| dialled.contains(a)) || matches!(action, Action::Hangup { .. });
                let grows = app.spec.queue[self.calls[call].queue].strategy == Way::RingProgressively;
                if !again || (!grows && dialled.len() > now_rung.len()) {
                    self.fault(11, format!("{name} rings {now_rung:?} and is told {action:?}"));
                }
            }
        }
        // Priority is worth so many seconds, and no more: who has waited for longer than that goes first.
        let ages = waiting.iter().flat_map(|a| waiting.iter().map(move |b| (a, b)));
        let starved: Vec<String> = ages
            .filter(|(a, b)| a.joined_at + 6_000_000 < b.joined_at && a.rank_at >= b.rank_at && row.as_ref().is_none_or(|r| r.entry <= 1))
            .filter(|(_, b)| b.rank_at >= b.joined_at - 6_000_000)
            .map(|(a, b)| format!("{a:?} ranks behind {b:?}"))
            .collect();
        self.met(6, usize::from(waiting.len() > 1));
        for text in starved {
            self.fault(6, text);
        }
        if let Some(decision) = answer.decision {
            if let Some(again) = record::replay(&decision.caller, &decision.inputs) {
                self.met(15, 1);
                if (&again.agents, &again.candidates) != (&decision.agents, &decision.candidates) {
                    self.fault(15, format!("{name}: {decision:?} made again is {again:?}"));
                }
            }
            db.decide_later(decision, APP);
        }
        let mut record = &mut self.calls[call];
        record.asked_at = now;
        record.told = Some(action.clone());
        match &action {
            Action::Dial(dial) => {
                if record.offer != dial.offer {
                    record.stale = std::mem::replace(&mut record.offer, dial.offer.clone());
                }
                (record.stage, record.rung, record.rings_for_s) = (Stage::Ringing, dial.agents.clone(), dial.timeout_s);
            }
            Action::Wait { .. } => (record.stage, record.rung) = (Stage::Waiting, Vec::new()),
            _ => {
                record = &mut self.calls[call];
                (record.stage, record.rung) = (Stage::Over, Vec::new());
            }
        }
        self.watch("a question").await;
    }

    pub(super) fn compare(
        &mut self,
        name: &str,
        expected: &Expected,
        action: &Action,
        dialled: &[String],
        me: &Waiting,
        eligible: &[String],
    ) {
        let waits = matches!(action, Action::Wait { .. });
        let is_it = is_it(expected, action, dialled);
        self.met(0, 1);
        self.met(7, usize::from(waits));
        self.met(5, usize::from(*expected == Expected::Waits && !eligible.is_empty()));
        self.met(8, usize::from(!me.tries.is_empty() && !dialled.is_empty()));
        self.met(19, usize::from(*expected == Expected::Leaves && self.now() >= CLOSING));
        if !is_it {
            let told = if waits { "waits".to_owned() } else { format!("is told {action:?}") };
            let text = format!("{name} of {} {told}, and should be: {expected:?}", me.queue);
            let again = dialled.iter().any(|a| me.tries.contains_key(a)) && eligible.iter().any(|a| !me.tries.contains_key(a));
            let invariant = match expected {
                _ if again => 8,
                Expected::Rings(_) | Expected::RingsOneOf(_) if waits => 7,
                Expected::Waits if !dialled.is_empty() => 5,
                Expected::Leaves if !dialled.is_empty() => 4,
                _ => 0,
            };
            self.fault(invariant, text.clone());
            if invariant != 0 {
                self.fault(0, text);
            }
        }
    }
}

/// Whether a call was told what it should be.
fn is_it(expected: &Expected, action: &Action, dialled: &[String]) -> bool {
    match expected {
        Expected::Rings(agents) => dialled == agents.as_slice(),
        Expected::RingsOneOf(agents) => matches!(dialled, [one] if agents.contains(one)),
        Expected::RingsOneOfOr(agents, else_it) => matches!(dialled, [one] if agents.contains(one)) || is_it(else_it, action, dialled),
        Expected::Waits => matches!(action, Action::Wait { .. }),
        Expected::Leaves => matches!(action, Action::Hangup { .. }),
    }
}
