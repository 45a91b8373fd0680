//! From a message to a frame.

use std::ops::Range;

use bytes::Bytes;
use plushie_pool_core::framing::{assemble, check_len};
use plushie_pool_core::strict::Strict;
use plushie_pool_core::{Error, ErrorKind, Header};
use serde::Serialize;

/// The length in front of a frame.
pub(crate) const PREFIX: usize = size_of::<u32>();
/// The longest header a map can have.
const MAP: usize = 5;

/// Writes one whole frame, as [`Transport::encode`](plushie_pool_core::Transport::encode) does,
/// but for one type of message: what is decided when this is compiled costs nothing later.
///
/// # Errors
///
/// As [`Transport::encode`](plushie_pool_core::Transport::encode).
pub fn encode<T: Serialize + ?Sized>(header: Header<'_>, body: &T) -> Result<Bytes, Error> {
    assemble(|out| frame(out, header, body))
}

fn frame<T: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    header: Header<'_>,
    body: &T,
) -> Result<Range<usize>, Error> {
    out.resize(PREFIX + MAP, 0);
    text(out, "session");
    text(out, header.session);
    if let Some(id) = header.id {
        text(out, "id");
        text(out, id);
    }
    let start = out.len();
    let mut msgpack = rmp_serde::Serializer::new(&mut *out).with_struct_map();
    body.serialize(Strict::binary(&mut msgpack))
        .map_err(|error| {
            Error::new(
                ErrorKind::Encode,
                format!("the message cannot be written as MessagePack: {error}"),
            )
        })?;

    // Drop the body's own map header: what lies in front of it moves up to its entries, and a
    // header that counts all of them goes before.
    let mut entries = &out[start..];
    let own = rmp::decode::read_map_len(&mut entries).map_err(|_| not_a_map())?;
    let moved_by = out.len() - start - entries.len();
    let count = own
        .checked_add(1 + u32::from(header.id.is_some()))
        .ok_or_else(not_a_map)?;
    out.copy_within(PREFIX + MAP..start, PREFIX + MAP + moved_by);

    let mut map = [0; MAP];
    let mut room = &mut map[..];
    rmp::encode::write_map_len(&mut room, count).expect("the room is for the longest header");
    let used = MAP - room.len();
    let map_at = PREFIX + MAP + moved_by - used;
    out[map_at..][..used].copy_from_slice(&map[..used]);

    let len = out.len() - map_at;
    check_len(len)?;
    let prefix = u32::try_from(len)
        .expect("the limit is far below")
        .to_be_bytes();
    out[map_at - PREFIX..][..PREFIX].copy_from_slice(&prefix);
    Ok(map_at - PREFIX..out.len())
}

pub(crate) fn text(out: &mut Vec<u8>, text: &str) {
    rmp::encode::write_str(out, text).expect("memory takes everything");
}

fn not_a_map() -> Error {
    Error::new(ErrorKind::InvalidMessage, "the message is not a map")
}
