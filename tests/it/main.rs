//! The integration tests: the whole server in this process, on a fresh SQLite database each, and on PostgreSQL when
//! HOOKFLASH_TEST_POSTGRES names one.

mod api;
mod support;
