//! The blacklist: callers who are not let in.

use crate::domain::spec::Blacklisted;

super::crud::crud!(Blacklisted, "blacklisted number", "/apps/{app}/blacklist", "/apps/{app}/blacklist/{id}");
