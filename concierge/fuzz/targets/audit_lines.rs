//! Any bytes as audit logs, in blocks of any size: every line is counted, and how they came in blocks changes nothing.
#![no_main]

use latchkey_concierge::audit::verify::{Demands, Report, Verifier};

fn verify(files: &[&[u8]], block: usize) -> Report {
    let mut verifier = Verifier::new(Demands::default());
    for (number, file) in files.iter().enumerate() {
        verifier.begin(&number.to_string());
        file.chunks(block).for_each(|block| verifier.feed(block));
    }
    verifier.finish()
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (block, bytes) = bytes.split_first().map_or((1, bytes), |(block, rest)| (usize::from(*block).max(1), rest));
    // A file separator makes another file, so that logs go on across files.
    let files: Vec<&[u8]> = bytes.split(|byte| *byte == 0x1c).collect();
    let report = verify(&files, block);
    assert_eq!(report.bytes, files.iter().map(|file| file.len() as u64).sum::<u64>());
    assert!(report.logs.iter().map(|log| log.records).sum::<u64>() <= report.lines);
    let whole = verify(&files, usize::MAX);
    assert_eq!(format!("{report:?}"), format!("{whole:?}"));
});
