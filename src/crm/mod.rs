//! Who is responsible for a caller: the one question that a lookup asks of a CRM. The built-in directory answers it from the database.

use crate::domain::validate::Problem;
use crate::roster::App;
use crate::store::contacts::{self, Responsible};
use crate::store::{Conn, Result};

/// The built-in directory's name in `crm.connector`.
pub const DIRECTORY: &str = "directory";

/// Finds the caller's contact and its responsible agents.
pub fn responsible(conn: &mut Conn, app: &App, phone: &str) -> Result<Option<Responsible>> {
    contacts::responsible(conn, app.id(), phone)
}

/// What is wrong with an application's choice of a CRM.
pub fn validate(connector: &str) -> Option<Problem> {
    (connector != DIRECTORY).then(|| Problem::new("crm.connector", format!("there is no connector {connector:?}; use {DIRECTORY:?}")))
}
