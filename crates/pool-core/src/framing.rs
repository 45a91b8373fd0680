//! Where one message ends and the next begins: what the two usual framings share.

mod passing;

use std::cell::Cell;
use std::ops::Range;

use bytes::{Buf as _, Bytes, BytesMut};
use memchr::memchr;

use self::passing::Passing;
use crate::{Error, ErrorKind, FrameDecoder, MAX_PAYLOAD, Oversized, Skim};

/// Payloads with their length, a big-endian `u32` of bytes, in front.
///
/// A length of zero is an error: no message is empty, and a renderer ends when it reads one.
///
/// A payload over [`MAX_PAYLOAD`] can be [passed over](FrameDecoder::pass_over). Is its length
/// one, or a part of something else? A decoder that is [`skimming`](Self::skimming) decides by the
/// bytes that follow; another believes lengths up to 1 GiB, the largest picture a renderer draws
/// (16384x16384), unless they are text.
#[derive(Debug, Default)]
pub struct LengthPrefixed {
    ahead: Ahead,
    passing: Passing,
}

/// Payloads that end with a newline.
///
/// The newline, and a carriage return before it, are not part of the payload. Blank lines are
/// passed over. Between two calls the buffer may only have grown at its end.
///
/// A line over [`MAX_PAYLOAD`] can be [passed over](FrameDecoder::pass_over), up to 4 GiB of it.
#[derive(Debug, Default)]
pub struct Lines {
    /// How much of the buffer is known to hold no newline.
    scanned: usize,
    ahead: Ahead,
    passing: Passing,
}

/// How much room is made for a payload of which only the beginning is there, in bytes.
#[derive(Debug, Clone)]
struct Ahead(usize);

impl Default for Ahead {
    /// A screenshot of 1024x768 fits in, and need not be moved while it grows. The system gives
    /// the memory when it is written to, so that a length that lies costs little.
    fn default() -> Self {
        Self(AHEAD)
    }
}

const AHEAD: usize = 8 * 1024 * 1024;

impl LengthPrefixed {
    /// One that makes no room for bytes that are not there: the buffer grows with what arrives.
    /// For many that may send, of which few send much.
    pub fn growing() -> Self {
        Self {
            ahead: Ahead(0),
            passing: Passing::default(),
        }
    }

    /// One that says whose the payloads are that it passes over.
    pub fn skimming(skim: fn() -> Box<dyn Skim>) -> Self {
        Self {
            ahead: Ahead::default(),
            passing: Passing::skimming(skim),
        }
    }
}

impl Lines {
    /// As [`LengthPrefixed::growing`].
    pub fn growing() -> Self {
        Self {
            scanned: 0,
            ahead: Ahead(0),
            passing: Passing::default(),
        }
    }

    /// One that says whose the lines are that it passes over.
    pub fn skimming(skim: fn() -> Box<dyn Skim>) -> Self {
        Self {
            scanned: 0,
            ahead: Ahead::default(),
            passing: Passing::skimming(skim),
        }
    }
}

/// Has `write` write a frame into memory that is there already, and makes it a frame of its
/// own: the part that `write` returns of it.
///
/// A small frame then costs one allocation of its size, whatever growing up it went through.
///
/// # Errors
///
/// What `write` says.
pub fn assemble(
    write: impl FnOnce(&mut Vec<u8>) -> Result<Range<usize>, Error>,
) -> Result<Bytes, Error> {
    // A larger one is kept as it is: to copy it would cost more than to grow the next.
    const COPIED: usize = 16 * 1024;
    thread_local! {
        static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    }

    // A message that is made of another one, written meanwhile, finds none and makes its own.
    // So does one that is written while the thread ends, as a session in a thread-local is.
    let mut scratch = SCRATCH.try_with(Cell::take).unwrap_or_default();
    scratch.clear();
    let frame = write(&mut scratch)?;
    if scratch.len() > COPIED {
        return Ok(Bytes::from(scratch).slice(frame));
    }
    let frame = Bytes::copy_from_slice(&scratch[frame]);
    let _ = SCRATCH.try_with(|kept| kept.set(scratch));
    Ok(frame)
}

/// Checks the length of a payload that is about to be sent, in bytes.
///
/// # Errors
///
/// [`ErrorKind::Encode`] if it is over [`MAX_PAYLOAD`].
pub fn check_len(len: usize) -> Result<(), Error> {
    if len <= MAX_PAYLOAD {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Encode,
        format!("the message takes {len} bytes, and {MAX_PAYLOAD} is all a renderer accepts"),
    ))
}

/// The beginning of `bytes` as quoted, escaped text, for an error about them.
pub fn excerpt(bytes: &[u8]) -> String {
    const SHOWN: usize = 60;
    match bytes.get(..SHOWN) {
        Some(start) if bytes.len() > SHOWN => {
            format!("{:?}..", String::from_utf8_lossy(start))
        }
        _ => format!("{:?}", String::from_utf8_lossy(bytes)),
    }
}

/// From how many bytes on a line is a long one.
const LONG: usize = 64 * 1024;

/// The longest payload that is passed over on the word of its length alone, in bytes: a picture
/// of 16384x16384, the largest a renderer draws, and what comes with it.
const CREDIBLE: u64 = 4 * 16384 * 16384 + 64 * 1024;

impl FrameDecoder for LengthPrefixed {
    fn decode(&mut self, buf: &mut BytesMut) -> Result<Option<Bytes>, Error> {
        const PREFIX: usize = size_of::<u32>();

        if self.passing.is_under_way() {
            self.passing.take_counted(buf)?;
            return Ok(None);
        }
        let Some(prefix) = buf.first_chunk::<PREFIX>() else {
            return Ok(None);
        };
        let len = u32::from_be_bytes(*prefix);
        if len == 0 {
            let message = "the renderer's output holds a message of zero length";
            return Err(Error::new(ErrorKind::Framing, message));
        }
        if len as usize > MAX_PAYLOAD {
            let credible = match self.passing.begins(&buf[PREFIX..]) {
                Some(begins) => begins && (!is_text(prefix) || buf.len() > PREFIX),
                None => !is_text(prefix) && u64::from(len) <= CREDIBLE,
            };
            let error = absurd_length(u64::from(len), buf);
            self.passing
                .refuse(credible, PREFIX, u64::from(len), &error);
            return Err(error);
        }
        let len = len as usize;
        let missing = (PREFIX + len).saturating_sub(buf.len());
        if missing > 0 {
            buf.reserve(missing.min(self.ahead.0));
            return Ok(None);
        }
        buf.advance(PREFIX);
        Ok(Some(buf.split_to(len).freeze()))
    }

    fn pass_over(&mut self) -> bool {
        self.passing.begin()
    }

    fn passed_over(&mut self) -> Option<Oversized> {
        self.passing.end()
    }
}

fn absurd_length(len: u64, output: &[u8]) -> Error {
    let error = Error::new(
        ErrorKind::Framing,
        format!(
            "the renderer's output announces a message of {len} bytes, over the limit of \
             {MAX_PAYLOAD}; it begins {}",
            excerpt(output)
        ),
    );
    if is_text(&output[..output.len().min(size_of::<u32>())]) {
        error.with_hint(
            "that is text: check that the program is a renderer, that it speaks this format, \
             and that nothing else prints to its standard output",
        )
    } else {
        error
    }
}

fn is_text(bytes: &[u8]) -> bool {
    let is_text = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    bytes.iter().all(is_text)
}

impl FrameDecoder for Lines {
    fn decode(&mut self, buf: &mut BytesMut) -> Result<Option<Bytes>, Error> {
        if self.passing.is_under_way() {
            self.passing.take_line(buf)?;
            return Ok(None);
        }
        loop {
            let scanned = self.scanned.min(buf.len());
            let end = memchr(b'\n', &buf[scanned..]).map(|at| scanned + at);
            self.scanned = if end.is_some() { 0 } else { buf.len() };
            if end.unwrap_or(buf.len()) > MAX_PAYLOAD {
                let error = Error::new(
                    ErrorKind::Framing,
                    format!(
                        "the renderer's output holds a line over the limit of {MAX_PAYLOAD} \
                         bytes; it begins {}",
                        excerpt(buf)
                    ),
                );
                let credible = self.passing.begins(buf).unwrap_or(true);
                self.passing.refuse(credible, 0, 0, &error);
                return Err(error);
            }
            let Some(end) = end else {
                if buf.len() >= LONG {
                    buf.reserve(self.ahead.0);
                }
                return Ok(None);
            };
            let mut line = buf.split_to(end);
            buf.advance(1);
            if line.ends_with(b"\r") {
                line.truncate(end - 1);
            }
            if !line.trim_ascii().is_empty() {
                return Ok(Some(line.freeze()));
            }
        }
    }

    fn pass_over(&mut self) -> bool {
        self.scanned = 0;
        self.passing.begin()
    }

    fn passed_over(&mut self) -> Option<Oversized> {
        self.passing.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payloads(decoder: &mut dyn FrameDecoder, buf: &mut BytesMut) -> Vec<Bytes> {
        std::iter::from_fn(|| decoder.decode(buf).unwrap()).collect()
    }

    #[test]
    fn a_payload_is_handed_over_where_it_lies() {
        let mut buf = BytesMut::from(&b"\0\0\0\x02hi\0\0\0\x01"[..]);
        let start = buf.as_ptr();
        let payload = LengthPrefixed::default().decode(&mut buf).unwrap().unwrap();
        assert_eq!(payload, "hi");
        assert_eq!(payload.as_ptr(), start.wrapping_add(4));
        assert_eq!(&buf[..], b"\0\0\0\x01");

        let mut buf = BytesMut::from(&b"{\"a\":1}\n{"[..]);
        let start = buf.as_ptr();
        let payload = Lines::default().decode(&mut buf).unwrap().unwrap();
        assert_eq!(payload, "{\"a\":1}");
        assert_eq!(payload.as_ptr(), start);
        assert_eq!(&buf[..], b"{");
    }

    #[test]
    fn a_length_is_not_believed_before_the_bytes_are_there() {
        let mut buf = BytesMut::from(&(MAX_PAYLOAD as u32).to_be_bytes()[..]);
        assert_eq!(LengthPrefixed::default().decode(&mut buf).unwrap(), None);
        assert!(
            (AHEAD..2 * AHEAD).contains(&buf.capacity()),
            "{}",
            buf.capacity()
        );

        let mut buf = BytesMut::from(&(MAX_PAYLOAD as u32 + 1).to_be_bytes()[..]);
        let error = LengthPrefixed::default().decode(&mut buf).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Framing);
        assert!(buf.capacity() < 1024, "{}", buf.capacity());
    }

    #[test]
    fn a_length_of_zero_is_an_error() {
        let mut buf = BytesMut::from(&b"\0\0\0\0"[..]);
        let error = LengthPrefixed::default().decode(&mut buf).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Framing);
    }

    #[test]
    fn a_program_that_prints_text_is_quoted() {
        let mut buf = BytesMut::from(&b"Usage: cat\n\t[FILE]...\xff"[..]);
        let error = LengthPrefixed::default()
            .decode(&mut buf)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(r#"begins "Usage: cat\n\t[FILE]...�""#),
            "{error}"
        );
        assert!(
            error.contains("check that the program is a renderer"),
            "{error}"
        );

        let mut buf = BytesMut::from(&[&b"x"[..], &[0xff; 99]].concat()[..]);
        let error = LengthPrefixed::default()
            .decode(&mut buf)
            .unwrap_err()
            .to_string();
        assert!(!error.contains("that is text"), "{error}");
        assert!(error.ends_with("\"..") && error.len() < 400, "{error}");
    }

    #[test]
    fn blank_lines_and_carriage_returns_are_not_payload() {
        let mut buf = BytesMut::from(&b"\n\r\n \t\nab\r\n\nc\r\r\nd"[..]);
        let mut lines = Lines::default();
        assert_eq!(payloads(&mut lines, &mut buf), ["ab", "c\r"]);
        assert_eq!(&buf[..], b"d");
        buf.extend_from_slice(b"\n");
        assert_eq!(payloads(&mut lines, &mut buf), ["d"]);
    }

    #[test]
    fn a_long_line_is_scanned_once() {
        let mut lines = Lines::default();
        let mut buf = BytesMut::from(&b"first\nxxxx"[..]);
        assert_eq!(payloads(&mut lines, &mut buf), ["first"]);
        // Only a decoder that scans again can find what was put where it has been.
        buf[1] = b'\n';
        assert_eq!(payloads(&mut lines, &mut buf), Vec::<Bytes>::new());
        buf.extend_from_slice(b"yy\nz\n");
        assert_eq!(payloads(&mut lines, &mut buf), ["x\nxxyy", "z"]);
    }

    #[test]
    fn a_line_over_the_limit_is_an_error_with_and_without_its_end() {
        let mut at_limit = BytesMut::from(&vec![b'x'; MAX_PAYLOAD][..]);
        let mut lines = Lines::default();
        assert_eq!(lines.decode(&mut at_limit).unwrap(), None);
        at_limit.extend_from_slice(b"\n");
        assert_eq!(
            lines.decode(&mut at_limit).unwrap().unwrap().len(),
            MAX_PAYLOAD
        );

        let mut over = BytesMut::from(&vec![b'x'; MAX_PAYLOAD + 1][..]);
        assert_eq!(
            Lines::default().decode(&mut over).unwrap_err().kind(),
            ErrorKind::Framing
        );
        over.extend_from_slice(b"\n");
        let error = Lines::default().decode(&mut over).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Framing);
        assert!(error.to_string().len() < 300, "{error}");
    }
}
