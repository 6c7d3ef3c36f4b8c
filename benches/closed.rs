//! The closed loop: so many connections, each of which sends its next request when it has the answer to the last.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::bail;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};

use crate::wire;

/// What one connection says.
pub trait Script {
    /// Writes the next request into `out`. `None`: it has said everything. `pausing`: it shall end where no call is left open.
    fn next(&mut self, pausing: bool, out: &mut Vec<u8>) -> Option<()>;

    /// Looks at the answer; how much it counts.
    ///
    /// # Errors
    /// What is wrong with it: a figure with wrong answers is none.
    fn answered(&mut self, status: u16, body: &[u8]) -> Result<u64, String>;
}

/// What came of a load.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    pub count: u64,
    pub elapsed: Duration,
    /// With the warm-up and with what was in hand when the time was over.
    pub total: u64,
}

impl Measured {
    pub fn per_second(&self) -> f64 {
        self.count as f64 / self.elapsed.as_secs_f64()
    }
}

/// Runs the scripts, one a connection, until all have said everything or the time is over; what is counted begins after the warm-up.
///
/// # Errors
/// A connection broke, or an answer was wrong.
pub fn run<S: Script + 'static>(address: SocketAddr, scripts: Vec<S>, warm_up: Duration, lasts: Duration) -> anyhow::Result<Measured> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let count = Rc::new(Cell::new(0));
    let wrong: Rc<RefCell<Option<String>>> = Rc::default();
    let pausing = Rc::new(Cell::new(false));
    LocalSet::new().block_on(&runtime, async {
        let mut connections = JoinSet::new();
        for script in scripts {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let (count, wrong, pausing) = (count.clone(), wrong.clone(), pausing.clone());
            connections.spawn_local(async move {
                if let Err(error) = talk(stream, script, &count, &pausing).await {
                    wrong.borrow_mut().get_or_insert(error.to_string());
                }
            });
        }
        tokio::time::sleep(warm_up).await;
        let (before, started) = (count.get(), Instant::now());
        let ended = tokio::time::timeout(lasts, async { while connections.join_next().await.is_some() {} }).await;
        let (counted, elapsed) = (count.get() - before, started.elapsed());
        pausing.set(true);
        if ended.is_err() {
            while connections.join_next().await.is_some() {}
        }
        match wrong.take() {
            Some(error) => bail!(error),
            None => Ok(Measured { count: counted, elapsed, total: count.get() }),
        }
    })
}

async fn talk(mut stream: TcpStream, mut script: impl Script, count: &Cell<u64>, pausing: &Cell<bool>) -> anyhow::Result<()> {
    let mut request = Vec::with_capacity(1024);
    let mut buffer = Vec::with_capacity(4096);
    loop {
        request.clear();
        if script.next(pausing.get(), &mut request).is_none() {
            return Ok(());
        }
        stream.write_all(&request).await?;
        buffer.clear();
        loop {
            if stream.read_buf(&mut buffer).await? == 0 {
                bail!("the connection was closed");
            }
            if let Some(response) = wire::response(&buffer) {
                let counts = script.answered(response.status, response.body).map_err(anyhow::Error::msg)?;
                count.set(count.get() + counts);
                break;
            }
        }
    }
}
