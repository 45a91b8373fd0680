//! The inputs that fuzzing starts from, as a test: each is read without a panic, and both ways
//! of reading it agree.

#[path = "../../fuzz/lib.rs"]
#[allow(unreachable_pub, reason = "a crate of its own where it is fuzzed")]
mod fuzz;

use std::fs;
use std::path::Path;

use plushie_pool_core::Transport;
use plushie_pool_transport_json::Json;
use plushie_pool_transport_msgpack::Msgpack;

fn read_all(transport: &dyn Transport) {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds");
    let mut read = 0;
    for seed in fs::read_dir(seeds.join(transport.name())).expect("they are kept") {
        let path = seed.expect("it is listed").path();
        eprintln!("{}", path.display());
        let seed = fs::read(path).expect("it is a file");
        fuzz::read(transport, &seed);
        // In the smallest pieces and in one, whatever the seed says.
        for size in [0, 255] {
            fuzz::read(transport, &[&[size], &seed[1..]].concat());
        }
        read += 1;
    }
    assert!(read > 20, "{read} seeds");
}

#[test]
fn json_reads_every_seed() {
    read_all(&Json);
}

#[test]
fn msgpack_reads_every_seed() {
    read_all(&Msgpack);
}
