//! Signed links to recordings: `{public_url}/r/{token}`.
//!
//! A token is `application.link.signature`: the signature is checked before the database is asked, the row says whether the link was
//! revoked or has expired. The key is made once for an installation and shared by its nodes.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::domain::time::{Clock, Timestamp};
use crate::store::records::{self, Link};
use crate::store::{Db, Durability, Result, facts};

const KEY_FACT: &str = "record_link_key";

/// Makes and checks links.
#[derive(Clone)]
pub struct Links {
    db: Db,
    clock: Clock,
    key: Vec<u8>,
    /// Days that a new link is valid; 0: for ever.
    days: u64,
}

impl Links {
    pub async fn open(db: Db, clock: Clock, days: u64) -> Result<Links> {
        let fresh = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        let key = db.write(Durability::Full, move |conn| facts::set_once(conn, KEY_FACT, &fresh)).await?;
        Ok(Links { db, clock, key: key.into_bytes(), days })
    }

    /// The token of a link to a recording: one that is still good for at least half of its time, else a new one.
    pub async fn token(&self, app: i64, record: &str, by: &str) -> Result<String> {
        let (record, by, clock, days) = (record.to_owned(), by.to_owned(), self.clock.clone(), self.days);
        let link = self.db.write(Durability::Full, move |conn| {
            let now = clock.now();
            let life = days as i64 * 86_400;
            let good = |l: &Link| {
                l.revoked_at.is_none() && l.expires_at.is_none_or(|at| at > now.plus_s(life / 2).0) && (days == 0) == l.expires_at.is_none()
            };
            if let Some(link) = records::links_of(conn, app, &record)?.into_iter().find(good) {
                return Ok(link);
            }
            let link = Link {
                application: app,
                id: URL_SAFE_NO_PAD.encode(rand::random::<[u8; 16]>()),
                record_id: record.clone(),
                created_at: now.0,
                created_by: by.clone(),
                expires_at: (days > 0).then(|| now.plus_s(life).0),
                revoked_at: None,
            };
            records::insert_link(conn, &link)?;
            Ok(link)
        });
        let link = link.await?;
        Ok(format!("{app}.{}.{}", link.id, self.sign(app, &link.id)))
    }

    /// The link that a token stands for, if it is ours, not revoked and not expired.
    pub async fn check(&self, token: &str) -> Result<Option<Link>> {
        let Some((app, id)) = self.read(token) else { return Ok(None) };
        let now = self.clock.now();
        let link = self.db.read(move |conn| records::link(conn, app, &id)).await?;
        Ok(link.filter(|l| l.revoked_at.is_none() && l.expires_at.is_none_or(|at| Timestamp(at) > now)))
    }

    fn read(&self, token: &str) -> Option<(i64, String)> {
        let mut parts = token.split('.');
        let (app, id, signature) = (parts.next()?.parse().ok()?, parts.next()?, parts.next()?);
        let given = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let fits = self.mac(app, id).verify_truncated_left(&given).is_ok() && given.len() == 16 && parts.next().is_none();
        fits.then(|| (app, id.to_owned()))
    }

    fn sign(&self, app: i64, id: &str) -> String {
        URL_SAFE_NO_PAD.encode(&self.mac(app, id).finalize().into_bytes()[..16])
    }

    fn mac(&self, app: i64, id: &str) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes a key of any length");
        mac.update(format!("{app}.{id}").as_bytes());
        mac
    }
}
