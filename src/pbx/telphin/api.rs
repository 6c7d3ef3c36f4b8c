//! Requests to the PBX.
