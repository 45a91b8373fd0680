//! How long from `register` to the first answered query.

use std::thread;
use std::time::{Duration, Instant};

use plushie_pool::{Display, Error, ErrorKind, SessionPool};
use serde_json::json;

use crate::{Outcome, bare, pool, process};

pub(crate) async fn run(display: Display, times: u32) -> Outcome {
    let cold = pool(display, 1).start().await?;
    let warm = pool(display, 2).warm(1).start().await?;
    let environment = {
        let session = cold.register().await?;
        let environment = process::environment(session.renderer_pid().expect("it is ours"));
        session.unregister().await?;
        environment
    };
    let mut measured = [("bare", vec![]), ("cold", vec![]), ("warm", vec![])];
    // In turns, so that what else the machine does befalls all of them.
    for _ in 0..times {
        let by_hand = bare::first_answer(&environment).map_err(|error| {
            Error::new(ErrorKind::Launch, format!("the bare renderer: {error}"))
        })?;
        measured[0].1.push(by_hand);
        measured[1].1.push(first_answer(&cold).await?);
        measured[2].1.push(first_answer(&warm).await?);
        // A spare that is being started would take its share of the others' time.
        while !is_ready(&warm) {
            thread::sleep(Duration::from_millis(1));
        }
    }
    println!("{display}: first answer, {times} times each");
    println!(
        "{:>6} {:>10} {:>10} {:>8} {:>8}",
        "", "median", "worst", "ratio", "ratio"
    );
    let (bare_median, bare_worst) = median_and_worst(&mut measured[0].1.clone());
    for (name, times) in &mut measured {
        let (median, worst) = median_and_worst(times);
        println!(
            "{name:>6} {:>7.2} ms {:>7.2} ms {:>8.3} {:>8.3}",
            1e3 * median.as_secs_f64(),
            1e3 * worst.as_secs_f64(),
            median.as_secs_f64() / bare_median.as_secs_f64(),
            worst.as_secs_f64() / bare_worst.as_secs_f64(),
        );
    }
    cold.shutdown().await?;
    warm.shutdown().await
}

/// Whether there is a spare, and nothing else.
fn is_ready(pool: &SessionPool) -> bool {
    matches!(&pool.status().renderers[..], [spare] if spare.served == 0)
}

async fn first_answer(pool: &SessionPool) -> Result<Duration, Error> {
    let start = Instant::now();
    let session = pool.register().await?;
    let query = json!({"type": "query", "target": "find", "selector": {}});
    session.request(&query, "query_response").await?;
    let took = start.elapsed();
    session.unregister().await?;
    Ok(took)
}

fn median_and_worst(times: &mut [Duration]) -> (Duration, Duration) {
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() - 1])
}
