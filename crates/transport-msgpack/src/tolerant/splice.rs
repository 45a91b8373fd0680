//! A client's message under another header, otherwise byte for byte as it came.

use bytes::Bytes;
use plushie_pool_core::framing::{assemble, check_len};
use plushie_pool_core::{Error, Header};

use super::value::{Value, Values};
use crate::encode::{PREFIX, text};
use crate::scan::Malformed;
use crate::transport::unreadable;

/// Writes one whole frame: the message in `payload` under another `header`. `session` goes, and
/// so does `id` if the header brings one; all else stays byte for byte, for the renderer to make
/// of it what it will. Bytes behind the message are left out.
///
/// # Errors
///
/// [`ErrorKind::Decode`](plushie_pool_core::ErrorKind::Decode) if [`Tolerant`](super::Tolerant)
/// cannot read the envelope of it, [`ErrorKind::Encode`](plushie_pool_core::ErrorKind::Encode) if
/// it exceeds [`MAX_PAYLOAD`](plushie_pool_core::MAX_PAYLOAD).
pub fn splice(header: Header<'_>, payload: &[u8]) -> Result<Bytes, Error> {
    let failed = |error: Malformed| unreadable(payload, &error);
    let parts = Parts::of(payload, header.id.is_some()).map_err(failed)?;
    assemble(|out| {
        out.resize(PREFIX, 0);
        let entries = parts.entries + 1 + u32::from(header.id.is_some());
        rmp::encode::write_map_len(out, entries).expect("memory takes everything");
        text(out, "session");
        text(out, header.session);
        if let Some(id) = header.id {
            text(out, "id");
            text(out, id);
        }
        for part in &parts.kept {
            out.extend_from_slice(part);
        }
        let len = out.len() - PREFIX;
        check_len(len)?;
        let prefix = u32::try_from(len).expect("the limit is far below");
        out[..PREFIX].copy_from_slice(&prefix.to_be_bytes());
        Ok(0..out.len())
    })
}

/// What is kept of a message.
struct Parts<'a> {
    entries: u32,
    kept: Vec<&'a [u8]>,
}

impl<'a> Parts<'a> {
    fn of(payload: &'a [u8], drops_id: bool) -> Result<Self, Malformed> {
        let mut values = Values::new(payload);
        let Value::Map(count) = values.next()? else {
            return Err(Malformed::NotAMap);
        };
        let mut entries = count;
        let mut kept = Vec::new();
        // What is kept lies from here up to the next entry that goes.
        let mut from = values.rest();
        for _ in 0..count {
            let entry = values.rest();
            let key = values.next()?;
            values.pass(key, 1)?;
            let value = values.next()?;
            values.pass(value, 1)?;
            let goes = match key {
                Value::Str(b"session") => true,
                Value::Str(b"id") => drops_id,
                _ => false,
            };
            if goes {
                entries -= 1;
                kept.push(&from[..from.len() - entry.len()]);
                from = values.rest();
            }
        }
        kept.push(&from[..from.len() - values.rest().len()]);
        // More entries than a map can have need more bytes than a payload may have.
        Ok(Self { entries, kept })
    }
}
