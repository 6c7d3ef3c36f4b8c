//! Queue agents' logins at the PBX are compared with agents' statuses.

use std::sync::Arc;

use crate::app::Hookflash;

/// Starts a comparison. The PBX may take its time; nothing waits for it.
pub fn sweep(server: &Arc<Hookflash>) {
    if server.presence.is_busy() {
        return;
    }
    let server = server.clone();
    tokio::spawn(async move { server.presence.sweep(&server.roster).await });
}
