//! What a renderer writes to its standard error: all of it read, the end of it kept.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use plushie_pool_core::link::unreadable;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::watch;

/// How many different lines are kept.
const MAX_LINES: usize = 40;
/// How many lines that say why it panicked are kept beyond those.
const MAX_REASONS: usize = 4;
/// How many bytes of a line are kept.
const MAX_LINE: usize = 512;
/// How many bytes are read at once.
const CHUNK: usize = 8 * 1024;

/// A handle on the last lines a renderer wrote to its standard error. Cheap to clone; all
/// clones show the same lines.
///
/// At most 40 lines of at most 512 bytes are kept. A line that only repeats the one before
/// it, but for the time a logger put in front, is counted instead: a windowed renderer can
/// write thousands of equal warnings a second, and the one line that explains its death
/// must not drown in them. Nor in a backtrace: of the lines before the last 40, those are kept
/// that say what panicked and why, the last 4 of them.
///
/// Each line is also an event of `tracing`, at `debug`; a repetition at `trace`; and at `warn` one
/// that says that the renderer could not read a message.
#[derive(Clone)]
pub struct StderrTail {
    kept: Arc<Mutex<Kept>>,
    /// Called with each new line.
    listener: Arc<OnceLock<Listener>>,
    /// Closed when the stream has ended.
    ended: watch::Receiver<()>,
}

type Listener = Box<dyn Fn(&str) + Send + Sync>;

impl StderrTail {
    /// Starts reading `stream` on a task, until it ends. Nobody has to look at the lines: an
    /// undrained pipe would wedge the renderer.
    ///
    /// `source` names the renderer in `tracing` events: the id of its process, say.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn drain(
        stream: impl AsyncRead + Send + Unpin + 'static,
        source: impl fmt::Display + Send + Sync + 'static,
    ) -> Self {
        let (ended_tx, ended) = watch::channel(());
        let tail = Self {
            kept: Arc::default(),
            listener: Arc::default(),
            ended,
        };
        let (kept, listener) = (tail.kept.clone(), tail.listener.clone());
        tokio::spawn(async move {
            read_to_end(stream, &kept, &listener, &source).await;
            drop(ended_tx);
        });
        tail
    }

    /// A tail of a renderer whose standard error is not ours to read.
    pub fn silent() -> Self {
        Self {
            kept: Arc::default(),
            listener: Arc::default(),
            ended: watch::channel(()).1,
        }
    }

    /// Has `listener` told of each line from now on, but for repetitions that say nothing new. A
    /// second listener is not taken.
    pub(crate) fn listen(&self, listener: impl Fn(&str) + Send + Sync + 'static) {
        let _ = self.listener.set(Box::new(listener));
    }

    /// The lines kept so far, oldest first; empty if there are none. Says how many lines it
    /// leaves out and how often a line was repeated.
    pub fn snapshot(&self) -> String {
        lock(&self.kept).to_string()
    }

    /// Waits until the stream has ended, so that [`snapshot`](Self::snapshot) has the last
    /// words of a renderer that died, but no longer than `at_most`: another process may hold
    /// the stream open. Returns whether it has ended.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with time enabled.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn ended(&self, at_most: Duration) -> bool {
        let mut ended = self.ended.clone();
        let closed = async { while ended.changed().await.is_ok() {} };
        tokio::time::timeout(at_most, closed).await.is_ok()
    }
}

impl fmt::Debug for StderrTail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = lock(&self.kept);
        f.debug_struct("StderrTail")
            .field("lines", &kept.lines.len())
            .field("left_out", &kept.left_out)
            .finish()
    }
}

async fn read_to_end(
    mut stream: impl AsyncRead + Unpin,
    kept: &Mutex<Kept>,
    listener: &OnceLock<Listener>,
    source: &impl fmt::Display,
) {
    let mut chunk = vec![0; CHUNK];
    let mut line = Line::default();
    loop {
        let read = match stream.read(&mut chunk).await {
            Ok(0) => break,
            Ok(read) => &chunk[..read],
            Err(error) => {
                tracing::debug!(%source, %error, "stderr can no longer be read");
                break;
            }
        };
        for piece in read.split_inclusive(|byte| *byte == b'\n') {
            match piece.strip_suffix(b"\n") {
                Some(rest) => {
                    line.extend(rest);
                    record(&mut line, kept, listener, source);
                }
                None => line.extend(piece),
            }
        }
        lock(kept).unfinished.clone_from(&line);
    }
    if !line.is_empty() {
        record(&mut line, kept, listener, source);
    }
}

/// Keeps and logs a whole line, and empties it.
fn record(
    line: &mut Line,
    kept: &Mutex<Kept>,
    listener: &OnceLock<Listener>,
    source: &impl fmt::Display,
) {
    line.end();
    let is_new = lock(kept).add(line);
    let text = line.to_string();
    // Each of these is a message that was dropped.
    let is_loss = unreadable(&text).is_some();
    if let Some(listener) = listener.get()
        && (is_new || is_loss)
    {
        listener(&text);
    }
    // Not under the lock: a subscriber may be slow.
    if is_loss {
        tracing::warn!(%source, "the renderer dropped a message: {line}");
    } else if is_new {
        tracing::debug!(%source, "{line}");
    } else {
        tracing::trace!(%source, "{line}");
    }
    line.clear();
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Default)]
struct Kept {
    /// Of the lines that are no longer kept, those that say why.
    reasons: VecDeque<Repeated>,
    /// The last line that went is the first of two that say why.
    half_a_reason: bool,
    lines: VecDeque<Repeated>,
    /// How many lines were dropped to keep within the bound.
    left_out: u64,
    unfinished: Line,
}

struct Repeated {
    line: Line,
    times: u64,
}

impl Kept {
    /// Whether the line is another than the one before.
    fn add(&mut self, line: &Line) -> bool {
        self.unfinished.clear();
        if let Some(last) = self.lines.back_mut()
            && last.line.says_the_same(line)
        {
            last.times += 1;
            return false;
        }
        if self.lines.len() == MAX_LINES
            && let Some(oldest) = self.lines.pop_front()
        {
            self.leave_out(oldest);
        }
        self.lines.push_back(Repeated {
            line: line.clone(),
            times: 1,
        });
        true
    }

    fn leave_out(&mut self, line: Repeated) {
        let first = line.line.is_panic();
        if !first && !self.half_a_reason {
            self.left_out += line.times;
            return;
        }
        self.half_a_reason = first;
        self.reasons.push_back(line);
        if self.reasons.len() > MAX_REASONS
            && let Some(oldest) = self.reasons.pop_front()
        {
            self.left_out += oldest.times;
        }
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.left_out > 0 {
            writeln!(f, "({} earlier lines left out)", Grouped(self.left_out))?;
        }
        for Repeated { line, times } in self.reasons.iter().chain(&self.lines) {
            match times {
                1 => writeln!(f, "{line}")?,
                _ => writeln!(f, "{line} (repeated {} times)", Grouped(*times))?,
            }
        }
        if !self.unfinished.is_empty() {
            writeln!(f, "{}", self.unfinished)?;
        }
        Ok(())
    }
}

/// The start of a line, and how much of it is missing.
#[derive(Default, Clone)]
struct Line {
    start: Vec<u8>,
    cut: u64,
}

impl Line {
    fn extend(&mut self, bytes: &[u8]) {
        let room = bytes.len().min(MAX_LINE - self.start.len());
        self.start.extend_from_slice(&bytes[..room]);
        self.cut += (bytes.len() - room) as u64;
    }

    fn end(&mut self) {
        if self.cut == 0 && self.start.last() == Some(&b'\r') {
            self.start.pop();
        }
    }

    fn says_the_same(&self, other: &Self) -> bool {
        self.cut == other.cut && without_time(&self.start) == without_time(&other.start)
    }

    /// `thread 'main' (12) panicked at src/main.rs:1:1:`; what it panicked with comes next.
    fn is_panic(&self) -> bool {
        const SIGN: &[u8] = b" panicked at ";
        self.start.starts_with(b"thread '")
            && self.start.windows(SIGN.len()).any(|part| part == SIGN)
    }

    fn is_empty(&self) -> bool {
        self.start.is_empty()
    }

    fn clear(&mut self) {
        self.start.clear();
        self.cut = 0;
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy(&self.start);
        if self.cut == 0 {
            return f.write_str(&text);
        }
        // The cut may have gone through a character.
        let text = text.trim_end_matches(char::REPLACEMENT_CHARACTER);
        write!(f, "{text}... ({} more bytes)", Grouped(self.cut))
    }
}

/// A line of `env_logger` without its time: `[2026-01-01T00:00:00Z WARN  module] text`.
fn without_time(line: &[u8]) -> &[u8] {
    let Some(inside) = line.strip_prefix(b"[") else {
        return line;
    };
    let end = inside
        .iter()
        .position(|byte| !matches!(byte, b'0'..=b'9' | b'-' | b':' | b'.' | b'T' | b'Z'))
        .unwrap_or(inside.len());
    let (time, rest) = inside.split_at(end);
    if time.len() >= "2026-01-01T00:00:00Z".len() && time.contains(&b'T') {
        rest
    } else {
        line
    }
}

/// `1234567` as `1,234,567`.
struct Grouped(u64);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn tail_of(bytes: &[u8]) -> String {
        let kept = Mutex::default();
        read_to_end(bytes, &kept, &OnceLock::new(), &"test").await;
        lock(&kept).to_string()
    }

    #[tokio::test]
    async fn what_is_kept_is_what_was_written() {
        assert_eq!(tail_of(b"one\r\ntwo\n\nthree").await, "one\ntwo\n\nthree\n");
        assert_eq!(tail_of(b"").await, "");
    }

    #[tokio::test]
    async fn only_the_last_lines_are_kept_and_the_others_counted() {
        let all: String = (1..=1_100).map(|n| format!("line {n}\n")).collect();
        let kept = tail_of(all.as_bytes()).await;
        assert_eq!(kept.lines().count(), 41);
        assert!(kept.starts_with("(1,060 earlier lines left out)\nline 1061\n"));
        assert!(kept.ends_with("line 1100\n"));
    }

    #[tokio::test]
    async fn repetitions_are_counted_whatever_the_time() {
        let mut all = String::from("first\n");
        for n in 0..1_234 {
            all += &format!(
                "[2026-01-01T00:{:02}:{:02}Z WARN  iced] slow\n",
                n / 60,
                n % 60
            );
        }
        all += "[2026-01-01T00:00:00Z WARN  iced] slower\n[2026] x\n[2027] x\n";
        assert_eq!(
            tail_of(all.as_bytes()).await,
            "first\n\
             [2026-01-01T00:00:00Z WARN  iced] slow (repeated 1,234 times)\n\
             [2026-01-01T00:00:00Z WARN  iced] slower\n\
             [2026] x\n\
             [2027] x\n"
        );
    }

    #[tokio::test]
    async fn left_out_counts_repetitions_too() {
        let mut all = "same\n".repeat(5);
        all += &(1..=40).map(|n| format!("{n}\n")).collect::<String>();
        let kept = tail_of(all.as_bytes()).await;
        assert!(
            kept.starts_with("(5 earlier lines left out)\n1\n"),
            "{kept}"
        );
    }

    #[tokio::test]
    async fn a_backtrace_does_not_hide_why() {
        let panic = |n| format!("thread 'main' ({n}) panicked at src/main.rs:1:1:\nreason {n}\n");
        let backtrace: String = (1..=100).map(|n| format!("  {n}: frame\n")).collect();
        let all = format!("before\n{}{backtrace}", panic(1));
        let kept = tail_of(all.as_bytes()).await;
        let start = format!("(61 earlier lines left out)\n{}  61: frame\n", panic(1));
        assert!(kept.starts_with(&start), "{kept}");
        // Not every one of a thousand.
        let all: String = (1..=1_000).map(|n| panic(n) + &backtrace).collect();
        let kept = tail_of(all.as_bytes()).await;
        let start = format!(
            "(101,956 earlier lines left out)\n{}{}",
            panic(999),
            panic(1_000)
        );
        assert!(kept.starts_with(&start), "{kept}");
    }

    #[tokio::test]
    async fn an_endless_line_is_cut_and_held_in_little_memory() {
        let kept = Mutex::default();
        let mut all = vec![b'x'; 3 * 1024 * 1024];
        all.extend_from_slice(b"\nend");
        read_to_end(&all[..], &kept, &OnceLock::new(), &"test").await;
        let kept = lock(&kept);
        assert_eq!(
            kept.to_string(),
            format!("{}... (3,145,216 more bytes)\nend\n", "x".repeat(512))
        );
        assert!(kept.lines[0].line.start.capacity() <= 2 * MAX_LINE);
    }

    #[tokio::test]
    async fn invalid_text_is_made_readable_and_a_cut_character_dropped() {
        assert_eq!(tail_of(b"a\xffb\n").await, "a\u{fffd}b\n");
        let wide = "\u{e9}".repeat(300);
        let kept = tail_of(format!("x{wide}\n").as_bytes()).await;
        assert_eq!(
            kept,
            format!("x{}... (89 more bytes)\n", "\u{e9}".repeat(255))
        );
    }

    #[tokio::test]
    async fn lines_cut_at_the_same_place_are_told_apart_by_their_length() {
        let (short, long) = ("y".repeat(600), "y".repeat(601));
        let kept = tail_of(format!("{short}\n{long}\n").as_bytes()).await;
        assert_eq!(kept.lines().count(), 2);
    }

    #[tokio::test]
    async fn an_unfinished_line_is_shown_once() {
        use tokio::io::AsyncWriteExt;
        let (mut writer, reader) = tokio::io::duplex(64);
        let tail = StderrTail::drain(reader, "test");
        writer.write_all(b"half").await.unwrap();
        while tail.snapshot().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(tail.snapshot(), "half\n");
        assert!(!tail.ended(Duration::ZERO).await);
        writer.write_all(b" a line\n").await.unwrap();
        drop(writer);
        assert!(tail.ended(Duration::from_secs(30)).await);
        assert_eq!(tail.snapshot(), "half a line\n");
    }

    #[tokio::test]
    async fn a_silent_tail_is_empty_and_over() {
        let tail = StderrTail::silent();
        assert!(tail.ended(Duration::ZERO).await);
        assert_eq!(tail.snapshot(), "");
    }
}
