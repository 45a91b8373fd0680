//! What windows take that do nothing.

use std::thread;
use std::time::{Duration, Instant};

use futures::future::join_all;
use plushie_pool::Display;
use serde_json::json;

use crate::crowd::opened;
use crate::{Outcome, pool, process};

pub(crate) async fn run(display: Display, windows: usize, seconds: u64) -> Outcome {
    let pool = pool(display, windows).start().await?;
    let sessions = join_all((0..windows).map(|_| pool.register())).await;
    let sessions = sessions.into_iter().collect::<Result<Vec<_>, _>>()?;
    for session in &sessions {
        opened(session, 0).await?;
        let subscribe = json!({"type": "subscribe", "kind": "on_window_event", "tag": "window"});
        session.send(&subscribe).await?;
    }
    let renderers: Vec<_> = sessions.iter().filter_map(|s| s.renderer_pid()).collect();
    let server = pool.status().display.map(|display| display.pid);
    let who = [
        ("pool", vec![std::process::id()]),
        ("renderers", renderers),
        ("display", server.into_iter().collect()),
    ];
    let cpu = || {
        who.each_ref()
            .map(|(_, pids)| pids.iter().map(|pid| process::cpu(*pid)).sum())
    };
    let before: [Duration; 3] = cpu();
    let heard = pool.status().counters;
    let (mine, _) = process::memory(std::process::id());
    let start = Instant::now();
    thread::sleep(Duration::from_secs(seconds));
    let time = start.elapsed().as_secs_f64();
    let after = cpu();
    let now = pool.status().counters;
    let per_second = |from: u64, to: u64| (to - from) as f64 / time;
    println!(
        "{display}: {windows} idle windows with a button each, for {time:.1} s: {:.0} messages a \
         second, of which {:.0} repeated a status; lost {}",
        per_second(heard.received, now.received),
        per_second(heard.coalesced, now.coalesced),
        now.lagged - heard.lagged,
    );
    println!(
        "{:>10} {:>8} {:>12} {:>12}",
        "", "CPU", "resident", "proportional"
    );
    for (((name, pids), before), after) in who.iter().zip(before).zip(after) {
        let memory = pids.iter().map(|pid| process::memory(*pid));
        let (rss, pss) = memory.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        let share = 100.0 * (after - before).as_secs_f64() / time;
        println!(
            "{name:>10} {share:>6.1} % {:>8.1} MiB {:>8.1} MiB",
            rss as f64 / 1024.0,
            pss as f64 / 1024.0,
        );
    }
    let (then, _) = process::memory(std::process::id());
    println!(
        "{:>10} {:+.1} MiB resident",
        "pool grew",
        (then as f64 - mine as f64) / 1024.0
    );
    drop(sessions);
    pool.shutdown().await
}
