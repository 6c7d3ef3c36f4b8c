//! `make bench`: how fast, how lean and how steady Hookflash is, in a release build on the disk of this machine.
//!
//! What is measured runs as a process of its own, this program started again as a server, with default settings and its log on. Where speed
//! depends on the machine, the mark is a ratio against a bare reference that does only what cannot be left out, measured in turns with it
//! under the same load. The load generator shares the cores with what it loads, for the product and for the reference alike.
//!
//! A benchmark informs, it does not fail: the marks stand beside the figures. Other work on the machine falsifies latencies; look at the
//! load average that the report shows.

mod asker;
mod child;
mod closed;
mod fill;
mod paced;
mod references;
mod report;
mod scenarios;
mod stage;
mod telphin;
mod wire;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(about = "Measures Hookflash against bare references")]
struct Arguments {
    /// Only this scenario: lookup, claim, latency, events, choice, reserve, nodes, offer, day, growth, memory or start; may be given several times.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Shorter turns and a tenth of the stored rows: to see that it works, not to judge.
    #[arg(long)]
    quick: bool,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
    #[command(subcommand)]
    role: Option<child::Role>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    match arguments.role {
        Some(role) => role.play(),
        None => scenarios::run(&arguments.only, arguments.quick),
    }
}
