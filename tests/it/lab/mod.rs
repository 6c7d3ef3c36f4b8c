//! A real Asterisk in front of the real server: `make test-asterisk` runs these, and nothing else does.
//!
//! Each test has an Asterisk of its own (`scripts/asterisk.sh`), whose dialplan and manager's user are what `hookflash provision` prints, on
//! loopback addresses of its own; a server of its own, the real program; and telephones that are SIPp, each with its own address and its
//! scenario put together from the parts in `sipp/`. What is believed: SIPp's exit statuses, Asterisk's own record of its channels (CEL), and
//! what our server says over REST. [`Lab::at_rest`] compares the three after every test.

mod calls;
mod cel;
mod clicks;
mod inside;
mod load;
mod menus;
mod pbx;
mod phone;
mod records;
mod rough;
mod street;

use street::Lab;
