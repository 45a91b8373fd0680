//! A client of a served pool that waits to be killed in the middle of a message.
//!
//! `plushie-pool-test-client SOCKET SESSIONS`: opens the sessions, prints a line, and hangs.

#[cfg(not(unix))]
fn main() {}

#[cfg(unix)]
fn main() {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use plushie_pool_tests::wire::Format;
    use serde_json::{Value, json};

    let mut args = std::env::args().skip(1);
    let socket = args.next().expect("a socket");
    let sessions: usize = args.next().and_then(|n| n.parse().ok()).expect("a number");
    let mut stream = UnixStream::connect(socket).expect("a server");
    let mut say = |message: &Value| {
        let frame = Format::Msgpack.frame(message);
        stream.write_all(&frame).expect("it is taken");
    };
    say(&json!({"type": "settings", "settings": {"protocol_version": 1}}));
    for session in 0..sessions {
        let session = session.to_string();
        say(&json!({"type": "tree_hash", "session": session, "id": "1", "name": "n"}));
    }
    let (mut input, mut heard, mut bytes) = (Vec::new(), 0, [0; 4096]);
    // And hello.
    while heard < sessions + 1 {
        let read = stream.read(&mut bytes).expect("it answers");
        assert!(read > 0, "it answers");
        input.extend_from_slice(&bytes[..read]);
        while Format::Msgpack.take(&mut input).is_some() {
            heard += 1;
        }
    }
    let frame = Format::Msgpack.frame(&json!({"type": "snapshot", "session": "0", "tree": {}}));
    stream
        .write_all(&frame[..frame.len() / 2])
        .expect("it is taken");
    println!("ready");
    loop {
        std::thread::park();
    }
}
