//! Opens and closes sessions, asks and interrupts, and kills renderers, for as long as it is
//! told; then says whether anything was lost or left behind.
//!
//! ```sh
//! cargo run --release -p plushie-pool-tests --bin soak -- --seconds 600 [--json]
//! cargo run --release -p plushie-pool-tests --bin soak -- --lives 100000
//! ```

mod account;
mod leftovers;
mod lives;
mod work;

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use futures::executor::block_on;
use plushie_pool::{RendererMode, RestartPolicy, SessionPool, WireFormat};
use rustix::process::{Pid, Signal, kill_process};

use account::{Account, Report};

/// Opens and closes sessions and kills renderers, and says whether anything was lost
#[derive(Debug, Parser)]
struct Options {
    /// How long to go on, in seconds
    #[arg(long, default_value_t = 60)]
    seconds: u64,

    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,

    /// Instead: so many short sessions through one pool, and nothing killed
    #[arg(long, value_name = "N", conflicts_with = "seconds")]
    lives: Option<u64>,

    /// The seed of what is chosen at random
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// This program is its own renderer when started with this argument.
const RENDERER: &str = "__renderer";

/// How many sessions each pool has, and how many threads compete for them.
const SESSIONS: usize = 8;
const WORKERS: usize = 12;

/// How long the work may take to end once it is told to: longer than any timeout it meets.
const WIND_DOWN: Duration = Duration::from_secs(90);

static OVER: AtomicBool = AtomicBool::new(false);

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(RENDERER) {
        let app = plushie_widget_sdk::app::PlushieAppBuilder::new();
        return match plushie_renderer::run(app) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        };
    }
    let options = Options::parse();
    if let Some(lives) = options.lives {
        let pool = start(RendererMode::Mock, WireFormat::Msgpack);
        let report = lives::run(&pool, lives);
        block_on(pool.shutdown()).expect("it ends");
        report.print();
        return exit_code(report.is_clean());
    }
    let report = soak(&options);
    report.print(options.json);
    exit_code(report.is_clean())
}

fn exit_code(clean: bool) -> ExitCode {
    if clean {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn soak(options: &Options) -> Report {
    // What a first pool leaves behind for good, threads' stacks and such, is no leak.
    block_on(start(RendererMode::Mock, WireFormat::Json).shutdown()).expect("nothing is running");
    let descriptors = leftovers::descriptors();

    let pools = [
        start(RendererMode::Mock, WireFormat::Msgpack),
        start(RendererMode::Mock, WireFormat::Json),
        start(RendererMode::Headless, WireFormat::Json),
    ];
    let account: &'static Account = Box::leak(Box::default());
    let mut workers = Vec::new();
    for (at, pool) in pools.iter().enumerate() {
        for worker in 0..WORKERS {
            let pool = pool.clone();
            let seed = options.seed * 1_000 + (at * WORKERS + worker) as u64;
            workers.push(thread::spawn(move || {
                work::until(&OVER, &pool, account, seed)
            }));
        }
    }

    let started = Instant::now();
    let length = Duration::from_secs(options.seconds);
    let mut warm = None;
    let mut random = fastrand::Rng::with_seed(options.seed);
    let mut kills = 0;
    let mut said = Instant::now();
    while started.elapsed() < length {
        thread::sleep(Duration::from_millis(random.u64(500..5_000)));
        kills += u64::from(kill_one(&pools, &mut random));
        if warm.is_none() && started.elapsed() >= length / 5 {
            warm = Some(leftovers::resident_kib(std::process::id()));
        }
        if said.elapsed() > Duration::from_secs(20) {
            said = Instant::now();
            let elapsed = started.elapsed().as_secs();
            eprintln!(
                "{elapsed} s: {} requests, {kills} kills",
                account.requests()
            );
        }
    }
    OVER.store(true, Ordering::Relaxed);
    let deadline = Instant::now() + WIND_DOWN;
    while Instant::now() < deadline && !workers.iter().all(thread::JoinHandle::is_finished) {
        thread::sleep(Duration::from_millis(50));
    }
    let stuck = workers
        .iter()
        .filter(|worker| !worker.is_finished())
        .count();
    let resident = leftovers::resident_kib(std::process::id());

    // A place is free when the renderer has confirmed; it has the pool's patience to do so.
    let patience = Instant::now() + Duration::from_secs(10);
    while Instant::now() < patience && pools.iter().any(|pool| pool.status().sessions > 0) {
        thread::sleep(Duration::from_millis(10));
    }
    let leaked = pools.iter().map(|pool| pool.status().sessions).sum();
    let pending = pools
        .iter()
        .map(|pool| pool.status().pending_requests)
        .sum();
    for pool in &pools {
        block_on(pool.shutdown()).expect("it ends");
    }
    drop(pools);
    let (processes, descriptors) = leftovers::settle(descriptors);
    account.report(account::Leftovers {
        stuck,
        leaked,
        pending,
        processes,
        descriptors,
        kills,
        growth_kib: resident - warm.unwrap_or(resident),
    })
}

fn start(mode: RendererMode, format: WireFormat) -> SessionPool {
    let pool = SessionPool::builder()
        .renderer(std::env::current_exe().expect("it is running"))
        .renderer_args([RENDERER])
        .mode(mode)
        .format(format)
        .max_sessions(SESSIONS)
        .restart(RestartPolicy {
            max_restarts: usize::MAX,
            within: Duration::from_secs(60),
            backoff: Duration::from_millis(1),
        });
    block_on(pool.start()).expect("the renderer is this program")
}

/// Kills a renderer of one of the pools, if it has one at this moment.
fn kill_one(pools: &[SessionPool], random: &mut fastrand::Rng) -> bool {
    let status = pools[random.usize(..pools.len())].status();
    let pids = status.renderers.iter().filter_map(|renderer| renderer.pid);
    let pids: Vec<_> = pids.collect();
    let Some(pid) = random.choice(pids) else {
        return false;
    };
    let pid = Pid::from_raw(i32::try_from(pid).expect("pids are small")).expect("not 0");
    // It may have ended by itself a moment ago, and been reaped by its pool.
    kill_process(pid, Signal::KILL).is_ok()
}
