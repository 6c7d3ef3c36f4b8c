//! A PBX asks: what it asks with, what the reference says to that, and whether the answer is the same.

use super::*;

/// What the store says of a call that asks, and of those beside it.
struct Question {
    asks: Asks,
    /// Calls that wait in queues.
    waiting: Vec<Waiting>,
    /// … as the store has them.
    rows: Vec<RoutedCall>,
    tallies: HashMap<String, (i64, i64)>,
    /// Offers of this call that stand.
    standing: Vec<Offer>,
}

/// What priority is worth in these centres at the most, microseconds.
const MOST_US: i64 = 6_000_000;

impl History {
    pub(super) fn request(&self, call: usize, offer: &str, outcome: Option<OfferState>, digits: Option<&str>) -> RoutingRequest {
        let call = &self.calls[call];
        RoutingRequest {
            call: Some(call.name.clone()),
            caller: call.caller.clone(),
            did: Some(call.did.clone()),
            asking_extension: None,
            dialled: Some(call.did.clone()),
            report: Report {
                offer: Some(offer.to_owned()).filter(|o| !o.is_empty()),
                outcome,
                digits: digits.map(str::to_owned),
                plain: false,
            },
        }
    }

    /// The question as the reference sees it.
    async fn question(&mut self, call: usize, outcome: Option<OfferState>, digits: Option<&str>) -> Question {
        let now = self.now();
        let app = self.house.hookflash.roster.app(APP).expect("the centre");
        let (spec, soon) = (app.spec.clone(), now.plus_s(acd::SLACK_S + app.pbx.poll_s() + 1).0);
        let record = &self.calls[call];
        let (id, mine, caller) = (record.id(), record.id(), record.caller.clone());
        let queues: Vec<String> = spec.queue.iter().map(|q| q.id.clone()).collect();
        // All of them have the same window.
        let window = now.plus_s(-spec.queue[0].window_s);
        let (row, rows, in_hand, tallies, contact) = self
            .house
            .read(move |conn| {
                let mut rows = Vec::new();
                for queue in &queues {
                    rows.extend(routed::waiting(conn, APP, queue, now, 10_000)?);
                }
                let mut ids: Vec<String> = rows.iter().map(|r| r.call_id.clone()).collect();
                ids.push(mine.clone());
                let contact = contacts::list(conn, APP, None, Some(&caller), 1)?.pop();
                Ok((
                    routed::get(conn, APP, &mine)?,
                    rows,
                    offers::in_hand_of(conn, APP, &ids)?,
                    routed::tallies(conn, APP, window)?,
                    contact,
                ))
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
                caller: r.caller.clone(),
                queue: r.queue.clone().unwrap_or_default(),
                rank_at: r.rank_at,
                joined_at: r.joined_at,
                tries: tries(&r.call_id),
                // It asks about now: it is not gone, nor does a phone ring for it still whose offer was taken back.
                wants: r.silent_at > now.plus_s(3).0 && r.silent_at <= soon && !of(&r.call_id).iter().any(stands),
                is_new: false,
                once: false,
            })
            .collect();
        let record = &self.calls[call];
        let contact = contact.map(|(_, contact)| contact).unwrap_or_default();
        let asks = Asks {
            id: id.clone(),
            caller: record.caller.clone(),
            did: record.did.clone(),
            tries: tries(&id),
            owner: contact.owner,
            deputy: contact.deputy,
            last_agent: if spec.routing.responsible.is_empty() { None } else { self.last_agent(&record.caller).await },
            digits: digits.map(str::to_owned),
            outside_failed: record.stage == Stage::Outside && outcome.is_some(),
            gone: row.as_ref().is_some_and(|r| !r.waiting),
            rang: false,
        };
        Question { asks, waiting, tallies, standing: of(&id).into_iter().filter(stands).collect(), rows }
    }

    /// The agent of the caller's newest answered leg in the call log.
    async fn last_agent(&self, caller: &str) -> Option<String> {
        let legs = self.client.get(&format!("/api/v1/apps/{APP}/legs?status=answered&limit=500&number=%2B{}", &caller[1..])).await.ok();
        legs["items"].as_array().expect("legs").iter().find_map(|leg| leg["agent"].as_str()).map(str::to_owned)
    }

    /// What is closed at this minute.
    fn closed(&mut self, spec: &Application) -> BTreeSet<String> {
        let now = self.now();
        if self.closed.0 != now.0 / 60_000_000 {
            let is_open = |id: &Option<String>| {
                let found = spec.business_hours.iter().find(|h| Some(&h.id) == id.as_ref()).expect("hours");
                hours::is_open(found, now, &spec.timezone)
            };
            let closed = spec.queue.iter().filter(|q| q.schedule == 2 && !is_open(&q.business_hours_id)).map(|q| q.id.clone()).collect();
            self.closed = (now.0 / 60_000_000, closed);
        }
        self.closed.1.clone()
    }

    pub(super) async fn ask(&mut self, call: usize, outcome: Option<OfferState>, digits: Option<&str>) {
        let (db, app) = (self.house.hookflash.db.clone(), self.house.hookflash.roster.app(APP).expect("the centre"));
        let now = self.now();
        let request = self.request(call, &self.calls[call].offer, outcome, digits);
        if outcome.is_some() {
            // The first of the two transactions of a question: the reference looks between them.
            let (id, report, app) = (self.calls[call].id(), request.report.clone(), app.clone());
            db.write(Durability::Process, move |conn| settle::report(conn, &app, &id, &report, now)).await.expect("settled");
            self.watch("the outcome").await;
        }
        let closed = self.closed(&app.spec);
        let Question { mut asks, waiting, tallies, rows, standing } = self.question(call, outcome, digits).await;
        let answer = acd::ask(&db, &self.house.clock, &app, &request).await.expect("answered");
        self.outcome.asked += 1;
        let action = answer.action.clone().expect("an action");
        let dialled = match &action {
            Action::Dial(dial) => dial.agents.clone(),
            _ => Vec::new(),
        };
        asks.rang = !dialled.is_empty();
        let name = self.calls[call].name.clone();
        let has_left = matches!(self.calls[call].journey.place, Place::Left(_));
        if standing.is_empty() || has_left {
            let mut journey = self.calls[call].journey.clone();
            let room = Room { spec: &app.spec, states: &self.seen.states, tallies: &tallies, waiting: &waiting, closed: &closed, now };
            let told = journey.goes_on(&room, asks.clone());
            let eligible = journey.waiting(&asks).map(|me| room.eligible(&me)).unwrap_or_default();
            self.met(11, usize::from(has_left));
            self.compare(&name, &told, &action, &dialled, &asks, &eligible);
            self.calls[call].journey = journey;
        } else {
            let now_rung: BTreeSet<&String> = standing.iter().map(|o| &o.agent).collect();
            let again = now_rung.iter().all(|a| dialled.contains(a)) || matches!(action, Action::Hangup { .. });
            let queue = app.spec.queue.iter().find(|q| matches!(&self.calls[call].journey.place, Place::Queue { id, .. } if *id == q.id));
            let grows = queue.is_some_and(|q| q.strategy == Way::RingProgressively);
            if !again || (!grows && dialled.len() > now_rung.len()) {
                self.fault(11, format!("{name} rings {now_rung:?} and is told {action:?}"));
            }
        }
        // Priority is worth so many seconds, and no more: who has waited for longer than that goes first. Who comes over from another queue
        // has waited since he joined that one.
        let pairs = rows.iter().flat_map(|a| rows.iter().filter(|b| b.entry == 1).map(move |b| (a, b)));
        let aged: Vec<_> = pairs.filter(|(a, b)| a.joined_at + MOST_US < b.joined_at).collect();
        self.met(6, usize::from(!aged.is_empty()));
        for (a, b) in aged.into_iter().filter(|(a, b)| a.rank_at >= b.rank_at) {
            self.fault(6, format!("{a:?} ranks behind {b:?}"));
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
        self.obey(call, action);
        self.watch("a question").await;
    }

    /// The PBX does what it is told.
    fn obey(&mut self, call: usize, action: Action) {
        let now = self.now();
        let record = &mut self.calls[call];
        (record.asked_at, record.told, record.rung) = (now, Some(action.clone()), Vec::new());
        record.stage = match action {
            Action::Dial(dial) => {
                if record.offer != dial.offer {
                    record.stale = std::mem::replace(&mut record.offer, dial.offer);
                }
                (record.place, record.rings_for_s) = (dial.place, dial.timeout_s);
                let outside = dial.lines.into_iter().filter_map(|line| if let Line::Number(number) = line { Some(number) } else { None });
                let stage = if dial.agents.is_empty() { Stage::Outside } else { Stage::Ringing };
                record.rung = if dial.agents.is_empty() { outside.collect() } else { dial.agents };
                stage
            }
            Action::Prompt(prompt) => {
                record.offer = prompt.offer;
                Stage::Listening
            }
            Action::Wait { place, .. } => {
                record.place = place;
                Stage::Waiting
            }
            _ => Stage::Away,
        };
    }
}
