//! Outages: whatever events are lost, the PBX's history restores the call log.

mod facts;
