#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::resolv_conf::target(data));
