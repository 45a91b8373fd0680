#![no_main]

use libfuzzer_sys::fuzz_target;
use plushie_pool_transport_msgpack::Msgpack;

fuzz_target!(|input: &[u8]| plushie_pool_fuzz::read(&Msgpack, input));
