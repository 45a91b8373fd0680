#![no_main]

use libfuzzer_sys::fuzz_target;
use plushie_pool_transport_json::Json;

fuzz_target!(|input: &[u8]| plushie_pool_fuzz::read(&Json, input));
