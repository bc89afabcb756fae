#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cheesewire_fuzz::form(data));
