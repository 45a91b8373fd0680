//! What a renderer writes to its standard error never stops it, and its last words are kept.

#![cfg(unix)]

mod support;

use plushie_pool_core::Exit;
use plushie_pool_renderer::{Connector, Launch};
use support::{LONG, all_of, script, within};

#[tokio::test]
async fn a_flood_does_not_wedge_the_renderer_and_does_not_hide_its_last_words() {
    let flood = script(
        "yes '[2026-01-01T00:00:00Z WARN  iced] slow' | head -n 200000 >&2
         echo done
         printf 'fatal: no display' >&2
         exit 101",
    );
    let connection = within(flood.connect(&Launch::default())).await.unwrap();
    assert_eq!(all_of(connection.reader).await, "done\n");

    let mut process = connection.process.unwrap();
    assert_eq!(within(process.wait()).await, Exit::Code(101));
    assert!(process.stderr().ended(LONG).await);
    assert_eq!(
        process.stderr().snapshot(),
        "[2026-01-01T00:00:00Z WARN  iced] slow (repeated 200,000 times)\nfatal: no display\n"
    );
}

#[tokio::test]
async fn a_flood_of_different_lines_is_kept_within_bounds() {
    let flood = script("i=0; while [ $i -lt 5000 ]; do i=$((i+1)); echo \"line $i\" >&2; done");
    let mut connection = within(flood.connect(&Launch::default())).await.unwrap();
    let process = connection.process.as_mut().unwrap();
    assert_eq!(within(process.wait()).await, Exit::Code(0));
    assert!(process.stderr().ended(LONG).await);
    let kept = process.stderr().snapshot();
    assert!(kept.starts_with("(4,960 earlier lines left out)\nline 4961\n"));
    assert!(kept.ends_with("line 5000\n"));
}

#[tokio::test]
async fn the_tail_can_still_be_read_when_the_process_is_dropped() {
    let speaker = script("echo 'warning: about to be dropped' >&2; echo ready; exec sleep 1000");
    let mut connection = within(speaker.connect(&Launch::default())).await.unwrap();
    let tail = connection.process.as_ref().unwrap().stderr().clone();
    let mut ready = [0; 6];
    within(tokio::io::AsyncReadExt::read_exact(
        &mut connection.reader,
        &mut ready,
    ))
    .await
    .unwrap();
    drop(connection);
    assert!(tail.ended(LONG).await);
    assert_eq!(tail.snapshot(), "warning: about to be dropped\n");
}
