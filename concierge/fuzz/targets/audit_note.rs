//! Any text as a signed note: what is read has one text and is what another reading finds, and no key vouches for it.
#![no_main]

use latchkey_concierge::audit::checkpoint::{MAX_NOTE_BYTES, Note, PublicKey, notes_in};

libfuzzer_sys::fuzz_target!(|text: &str| {
    // Seeds stand on one line each: a tab is a newline.
    let text = text.replace('\t', "\n");
    if let Ok(note) = Note::parse(&text) {
        assert!(text.len() <= MAX_NOTE_BYTES);
        assert!(text.starts_with(&format!("{}\n{}\n{}\n\n", note.origin, note.size, note.root)));
        assert!(note.verify(&[PublicKey::from_bytes([9; 32])]).is_err());
        assert_eq!(notes_in(&text), Ok(vec![note]));
    }
    if let Ok(notes) = notes_in(&text) {
        assert!(notes.iter().all(|note| text.contains(&note.origin)));
    }
});
