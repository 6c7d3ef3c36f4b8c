//! The server as a whole: starts its parts in order, waits to be told to stop, and stops them in the reverse order.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpServer};
use anyhow::{Context, bail};
use tokio::task::JoinHandle;

use crate::app::Hookflash;
use crate::config::Settings;
use crate::domain::time::Clock;
use crate::{http, link, net, timers};

/// How long requests in hand may take to end when the server stops, seconds.
const SHUTDOWN_S: u64 = 10;

/// A running server.
pub struct Running {
    pub address: SocketAddr,
    pub hookflash: Arc<Hookflash>,
    handle: ServerHandle,
    serving: JoinHandle<std::io::Result<()>>,
    timers: timers::Running,
    link: link::Running,
}

/// `hookflash serve`: runs until SIGTERM or SIGINT.
pub async fn run(settings: Settings, clock: Clock) -> anyhow::Result<()> {
    let hookflash = Hookflash::open(settings, clock).await?;
    let listener = listen(hookflash.settings.server.bind)?;
    let running = start(hookflash, listener)?;
    let settings = &running.hookflash.settings;
    tracing::info!(address = %running.address, url = settings.server.base_url(), database = %settings.database.url, "hookflash serves");
    stop_signal().await?;
    tracing::info!("stopping: requests in hand are finished first");
    running.stop().await
}

pub fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).with_context(|| format!("server.bind: cannot listen on {address}; is another server there?"))
}

/// Starts serving on a socket that listens already.
pub fn start(hookflash: Arc<Hookflash>, listener: TcpListener) -> anyhow::Result<Running> {
    net::install_tls();
    let address = listener.local_addr().context("the address of the listening socket")?;
    let shared = hookflash.clone();
    let settings = &hookflash.settings.server;
    let server = HttpServer::new(move || App::new().configure(http::configure(shared.clone())))
        .workers(settings.worker_threads())
        .backlog(4_096)
        .keep_alive(Duration::from_secs(75))
        .client_request_timeout(Duration::from_secs(10))
        .shutdown_timeout(SHUTDOWN_S)
        .disable_signals();
    let server = match (&settings.tls_cert, &settings.tls_key) {
        (Some(cert), Some(key)) => server.listen_rustls_0_23(listener, tls(cert, key)?),
        _ => server.listen(listener),
    }
    .context("starting to serve")?
    .run();
    let handle = server.handle();
    let serving = tokio::spawn(server);
    let timers = timers::start(hookflash.clone());
    let link = link::start(hookflash.link.clone(), hookflash.roster.clone());
    Ok(Running { address, hookflash, handle, serving, timers, link })
}

impl Running {
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ends the requests in hand, the timers, and what waits to be written.
    pub async fn stop(self) -> anyhow::Result<()> {
        // Who listens to what happens would never end by himself.
        self.hookflash.live.close();
        self.handle.stop(true).await;
        self.serving.await.context("the server's task")??;
        self.link.stop().await;
        self.timers.stop().await;
        self.hookflash.db.flush().await;
        Ok(())
    }
}

/// The certificate and its key.
///
/// # Errors
/// In words that name the setting.
pub fn tls(cert: &Path, key: &Path) -> anyhow::Result<rustls::ServerConfig> {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect)
        .with_context(|| format!("server.tls_cert: {} is not a readable PEM file", cert.display()))?;
    if chain.is_empty() {
        bail!("server.tls_cert: {} holds no certificate", cert.display());
    }
    let key =
        PrivateKeyDer::from_pem_file(key).with_context(|| format!("server.tls_key: {} holds no readable private key", key.display()))?;
    rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .context("server.tls_cert and server.tls_key do not fit")
}

#[cfg(unix)]
async fn stop_signal() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut term = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = term.recv() => {}
        result = tokio::signal::ctrl_c() => result?,
    }
    Ok(())
}

#[cfg(not(unix))]
async fn stop_signal() -> anyhow::Result<()> {
    Ok(tokio::signal::ctrl_c().await?)
}
