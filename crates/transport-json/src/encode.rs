//! From a message to a line.

use std::ops::Range;

use bytes::Bytes;
use plushie_pool_core::framing::{assemble, check_len};
use plushie_pool_core::strict::Strict;
use plushie_pool_core::{Error, ErrorKind, Header};
use serde::Serialize;

/// Writes one whole line, as [`Transport::encode`](plushie_pool_core::Transport::encode) does,
/// but for one type of message: what is decided when this is compiled costs nothing later.
///
/// # Errors
///
/// As [`Transport::encode`](plushie_pool_core::Transport::encode).
pub fn encode<T: Serialize + ?Sized>(header: Header<'_>, body: &T) -> Result<Bytes, Error> {
    assemble(|line| write(line, header, body))
}

fn write<T: Serialize + ?Sized>(
    line: &mut Vec<u8>,
    header: Header<'_>,
    body: &T,
) -> Result<Range<usize>, Error> {
    line.extend_from_slice(b"{\"session\":");
    value(line, header.session)?;
    if let Some(id) = header.id {
        line.extend_from_slice(b",\"id\":");
        value(line, id)?;
    }

    // The body goes where it stays: the brace that opens it becomes a comma, and the one that
    // closes it closes the whole.
    let start = line.len();
    value(line, body)?;
    let body = &mut line[start..];
    let Some((open @ b'{', rest)) = body.split_first_mut() else {
        return Err(Error::new(
            ErrorKind::InvalidMessage,
            "the message is not a map",
        ));
    };
    let is_empty = rest.trim_ascii_start() == b"}";
    *open = if is_empty { b' ' } else { b',' };
    // In JSON a raw newline is a space. serde_json writes none, but passes on one in text
    // that is JSON already (`RawValue`), and it would end the message.
    for byte in rest {
        if *byte == b'\n' {
            *byte = b' ';
        }
    }

    line.push(b'\n');
    // The renderer counts the newline in.
    check_len(line.len())?;
    Ok(0..line.len())
}

fn value<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) -> Result<(), Error> {
    let mut json = serde_json::Serializer::new(out);
    value.serialize(Strict::text(&mut json)).map_err(|error| {
        Error::new(
            ErrorKind::Encode,
            format!("the message cannot be written as JSON: {error}"),
        )
    })
}
