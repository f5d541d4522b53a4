//! The file under everything that disks, people and other processes do to it.

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
    sync::{Mutex, PoisonError},
};

use super::*;
use crate::{
    audit::{
        chain::Chain,
        event::{GapReason, Kind, PreviousLife, Severity},
        sink::{Destination, SinkSettings, next_life, output::Draft},
    },
    time::{ManualClock, UnixTime},
};

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("latchkey-file-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    fn log(&self) -> PathBuf {
        self.0.join("audit.jsonl")
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn settings(&self) -> FileSettings {
        FileSettings { rotate_bytes: 4_096, ..FileSettings::new(self.log()) }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A disk whose room, patience and obedience can be taken away.
#[derive(Clone, Default)]
struct Faulty(Arc<Mutex<Faults>>);

#[derive(Default)]
struct Faults {
    /// Bytes that there is still room for; `None`: any number.
    room: Option<usize>,
    no_sync: bool,
    no_truncate: bool,
}

impl Faulty {
    fn set(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Disk for Faulty {
    fn append(&mut self, file: &File, text: &[u8]) -> io::Result<usize> {
        let mut faults = self.0.lock().unwrap();
        let count = faults.room.map_or(text.len(), |room| room.min(text.len()));
        if count == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        faults.room = faults.room.map(|room| room - count);
        RealDisk.append(file, &text[..count])
    }

    fn sync(&mut self, file: &File) -> io::Result<()> {
        if self.0.lock().unwrap().no_sync { Err(io::Error::other("no sync")) } else { RealDisk.sync(file) }
    }

    fn truncate(&mut self, file: &File, length: u64) -> io::Result<()> {
        if self.0.lock().unwrap().no_truncate {
            Err(io::Error::other("no cut"))
        } else {
            RealDisk.truncate(file, length)
        }
    }
}

/// Who writes, with the chain as its sink would hold it.
struct Hand {
    chain: Chain,
    seq: u64,
}

impl Hand {
    fn new(life: u64, head: Option<crate::audit::chain::Head>) -> Self {
        Self { chain: Chain::new(&identity(life), head), seq: 0 }
    }

    /// A batch of so many records; written or not, the numbers go on.
    fn batch(&mut self, kind: Kind, count: u64) -> (Batch, Chain) {
        let body = format!(
            r#""time":"2026-11-21T04:00:00.000000Z","kind":"{}","severity":"low","pad":"{}""#,
            kind.as_str(),
            "x".repeat(100)
        );
        let first = self.seq + u64::from(!kind.as_str().starts_with("audit."));
        let draft = |seq| Draft { seq, kind, severity: Severity::Low, body: body.as_bytes() };
        let mut chain = self.chain.clone();
        let batch = Batch::compose(&mut chain, (first..first + count).map(draft));
        self.seq = first + count - 1;
        (batch, chain)
    }

    async fn write<D: Disk>(&mut self, output: &mut FileOutput<D>, kind: Kind, count: u64) -> io::Result<()> {
        let (batch, chain) = self.batch(kind, count);
        output.write(&batch, true).await?;
        self.chain = chain;
        Ok(())
    }

    async fn life<D: Disk>(&mut self, output: &mut FileOutput<D>, records: u64, ends: bool) {
        self.write(output, Kind::AuditStarted, 1).await.unwrap();
        self.write(output, Kind::TokenRefused, records).await.unwrap();
        if ends {
            self.write(output, Kind::AuditStopped, 1).await.unwrap();
        }
    }
}

fn identity(life: u64) -> Identity {
    Identity { cluster: "staging".into(), replica: "one".into(), life }
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(UnixTime::from_secs(1_795_233_600)))
}

/// Opens as soon as whoever had it before has come to an end.
async fn open(settings: &FileSettings, life: u64) -> (FileOutput, Predecessor) {
    loop {
        match FileOutput::open(settings.clone(), &identity(life), clock()).await {
            Ok(opened) => return opened,
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::ResourceBusy, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn numbers(path: &Path) -> Vec<u64> {
    super::super::tests::numbers(&super::super::tests::intact(&fs::read(path).unwrap()))
}

fn unpacked(path: &Path) -> Vec<u8> {
    zstd::decode_all(File::open(path).unwrap()).unwrap()
}

async fn until<T>(mut found: impl FnMut() -> Option<T>) -> T {
    let wait = async {
        loop {
            if let Some(found) = found() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), wait).await.expect("it comes true in time")
}

#[tokio::test]
async fn the_file_is_ours_alone() {
    let folder = Folder::new();
    let (mut output, before) = open(&folder.settings(), 1).await;
    assert_eq!(before, Predecessor::default());
    Hand::new(1, None).life(&mut output, 3, false).await;
    assert_eq!(fs::metadata(folder.log()).unwrap().permissions().mode() & 0o777, 0o600);
    let error = FileOutput::open(folder.settings(), &identity(2), clock()).await.err().unwrap();
    assert!(error.to_string().contains("another process writes to this audit log: it holds "), "{error}");
    assert_eq!(numbers(&folder.log()), [1, 2, 3], "untouched by the one that came second");
    drop(output);
    open(&folder.settings(), 2).await;
    let nowhere = FileSettings::new(folder.0.join("none/audit.jsonl"));
    assert!(FileOutput::open(nowhere, &identity(1), clock()).await.is_err());
}

#[tokio::test]
async fn a_new_life_moves_the_old_file_away_and_knows_how_it_ended() {
    let folder = Folder::new();
    let previous = |life, seq| Some(PreviousLife { replica: "one".into(), life, seq });
    let (mut output, _) = open(&folder.settings(), 1).await;
    let mut first = Hand::new(1, None);
    first.life(&mut output, 3, true).await;
    drop(output);

    let (mut output, before) = open(&folder.settings(), 2).await;
    assert_eq!((before.head, before.started.previous), (Some(first.chain.head()), previous(1, 3)));
    assert!(!before.started.unclean);
    let mut second = Hand::new(2, before.head);
    second.life(&mut output, 2, false).await;
    drop(output);
    // Killed in the middle of a line.
    File::options().append(true).open(folder.log()).unwrap().write_all(br#"{"v":1,"seq":9"#).unwrap();

    let (output, before) = open(&folder.settings(), 3).await;
    assert_eq!((before.head, before.started.previous), (Some(second.chain.head()), previous(2, 2)));
    assert!(before.started.unclean);
    drop(output);
    // Nothing was written by the third; the fourth still finds the second, packed away by now or not.
    let (_output, before) = open(&folder.settings(), 4).await;
    assert_eq!((before.head, before.started.previous), (Some(second.chain.head()), previous(2, 2)));
    until(|| folder.names().iter().all(|name| name.contains(".zst") || !name.contains("one")).then_some(())).await;
    let torn = unpacked(&folder.0.join("audit-one-2-0.jsonl.zst"));
    assert!(torn.ends_with(br#"{"v":1,"seq":9"#), "the torn end is evidence");
    assert_eq!(fs::metadata(folder.0.join("audit-one-1-0.jsonl.zst")).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_life_after_a_clock_was_set_back_is_the_newest_all_the_same() {
    let folder = Folder::new();
    let sinks = [Destination::File(folder.settings())].map(|destination| SinkSettings { destination, required: true });
    assert_eq!(next_life(&sinks, 1_000).await.unwrap(), 1_000);
    let mut lives = Vec::new();
    for (now, expected) in [(1_000, 1_000), (400, 1_001), (500, 1_002), (1_002, 1_003), (5_000, 5_000)] {
        let life = next_life(&sinks, now).await.unwrap();
        assert_eq!(life, expected);
        let (mut output, before) = open(&folder.settings(), life).await;
        assert_eq!(before.started.previous.map(|previous| previous.life), lives.last().copied());
        Hand::new(life, before.head).life(&mut output, 2, true).await;
        lives.push(life);
    }
    // As after a crash between moving the old file away and the first line of the new one.
    let (output, before) = open(&folder.settings(), 5_001).await;
    assert_eq!(before.started.previous.map(|previous| previous.life), Some(5_000));
    assert_eq!(next_life(&sinks, 7).await.unwrap(), 5_001);
    drop(output);
    let stdout = [SinkSettings { destination: Destination::Stdout, required: true }];
    assert_eq!(next_life(&stdout, 7).await.unwrap(), 7);
}

#[tokio::test]
async fn what_does_not_fit_is_cut_off_and_written_again() {
    let folder = Folder::new();
    let disk = Faulty::default();
    let opened = FileOutput::open_on(folder.settings(), &identity(1), clock(), disk.clone()).await;
    let (mut output, _) = opened.unwrap();
    let mut hand = Hand::new(1, None);
    hand.life(&mut output, 2, false).await;
    let whole = fs::read(folder.log()).unwrap();

    for room in [0, 1, 400, 700] {
        disk.set(|faults| faults.room = Some(room));
        let (batch, _) = hand.batch(Kind::TokenRefused, 3);
        assert_eq!(output.write(&batch, true).await.unwrap_err().kind(), io::ErrorKind::StorageFull);
        hand.seq -= 3;
        assert_eq!(fs::read(folder.log()).unwrap(), whole, "{room} bytes of it are gone again");
    }
    // What cannot even be cut off is cut off before anything else is written.
    disk.set(|faults| faults.no_truncate = true);
    disk.set(|faults| faults.room = Some(100));
    let (batch, chain) = hand.batch(Kind::TokenRefused, 3);
    assert!(output.write(&batch, true).await.is_err());
    disk.set(|faults| faults.room = None);
    assert!(output.write(&batch, true).await.unwrap_err().to_string().contains("no cut"));
    disk.set(|faults| faults.no_truncate = false);
    output.write(&batch, true).await.unwrap();
    hand.chain = chain;
    // Written but not on the disk: not written.
    disk.set(|faults| faults.no_sync = true);
    let (batch, _) = hand.batch(Kind::TokenRefused, 1);
    assert!(output.write(&batch, true).await.is_err());
    assert_eq!(numbers(&folder.log()), [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn a_full_file_is_closed_compressed_and_followed_by_another() {
    let folder = Folder::new();
    let (mut output, _) = open(&folder.settings(), 1).await;
    let mut hand = Hand::new(1, None);
    hand.life(&mut output, 3, false).await;
    assert!(!output.is_full());
    hand.write(&mut output, Kind::TokenRefused, 20).await.unwrap();
    assert!(output.is_full());
    let closed = fs::read(folder.log()).unwrap();
    output.rotate().await.unwrap();
    assert!(!output.is_full());
    hand.write(&mut output, Kind::TokenRefused, 2).await.unwrap();
    let packed = folder.0.join("audit-one-1-0.jsonl.zst");
    until(|| (folder.names().len() == 3 && packed.exists()).then_some(())).await;
    assert_eq!(unpacked(&packed), closed);
    assert_eq!(folder.names(), ["audit-one-1-0.jsonl.zst", "audit.jsonl", "audit.jsonl.lock"]);
    // The chain goes through.
    let whole = [closed, fs::read(folder.log()).unwrap()].concat();
    assert_eq!(super::super::tests::numbers(&super::super::tests::intact(&whole)), (1..=25).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn an_old_file_is_full_too_unless_it_is_empty() {
    let folder = Folder::new();
    let (mut output, _) = open(&folder.settings(), 1).await;
    tokio::time::advance(Duration::from_hours(25)).await;
    assert!(!output.is_full());
    Hand::new(1, None).life(&mut output, 1, false).await;
    assert!(output.is_full());
    output.rotate().await.unwrap();
    assert!(!output.is_full());
}

#[tokio::test]
async fn compressions_that_did_not_end_lose_nothing() {
    let folder = Folder::new();
    let piece = |name: &str| folder.0.join(name);
    // Ended before the compressed one had its name, and before the plain one went.
    fs::write(piece("audit-one-1-0.jsonl"), "first\n").unwrap();
    fs::write(piece("audit-one-1-0.jsonl.zst.partial"), "half").unwrap();
    fs::write(piece("audit-one-1-9.jsonl"), "second\n").unwrap();
    fs::write(piece("audit-one-1-9.jsonl.zst"), zstd::encode_all(&b"second\n"[..], 1).unwrap()).unwrap();
    fs::write(piece("audit-notes.txt"), "not ours").unwrap();
    let (_output, _) = open(&folder.settings(), 2).await;
    let expected =
        ["audit-notes.txt", "audit-one-1-0.jsonl.zst", "audit-one-1-9.jsonl.zst", "audit.jsonl", "audit.jsonl.lock"];
    until(|| (folder.names() == expected).then_some(())).await;
    assert_eq!(unpacked(&piece("audit-one-1-0.jsonl.zst")), b"first\n");
    assert_eq!(unpacked(&piece("audit-one-1-9.jsonl.zst")), b"second\n");
}

#[tokio::test]
async fn what_is_deleted_is_told_first() {
    let folder = Folder::new();
    let keep = Keep { files: Some(1), age: None, bytes: u64::MAX };
    let settings = FileSettings { keep, ..folder.settings() };
    let (mut output, _) = open(&settings, 1).await;
    let mut hand = Hand::new(1, None);
    hand.life(&mut output, 3, false).await;
    let head = hand.chain.head();
    output.rotate().await.unwrap();
    hand.write(&mut output, Kind::TokenRefused, 4).await.unwrap();
    output.rotate().await.unwrap();
    let gap = until(|| output.gaps().pop()).await;
    assert_eq!((gap.reason, gap.seq_first, gap.seq_last), (GapReason::Retention, 0, 3));
    assert_eq!((gap.dropped.low, gap.dropped.total()), (3, 3));
    assert_eq!(gap.head, Some(head.to_string()));
    assert!(folder.0.join("audit-one-1-0.jsonl.zst").exists(), "not before it is told");
    assert!(output.gaps().is_empty(), "told once");
    output.gaps_written();
    until(|| (!folder.0.join("audit-one-1-0.jsonl.zst").exists()).then_some(())).await;
    assert!(folder.0.join("audit-one-1-4.jsonl.zst").exists());
}

#[tokio::test]
async fn a_file_that_is_deleted_moved_or_replaced_is_noticed() {
    let folder = Folder::new();
    let (mut output, _) = open(&folder.settings(), 1).await;
    let mut hand = Hand::new(1, None);
    hand.life(&mut output, 2, false).await;
    let head = hand.chain.head();
    fs::remove_file(folder.log()).unwrap();
    hand.write(&mut output, Kind::TokenRefused, 1).await.unwrap();
    assert_eq!(numbers(&folder.log()), [3]);
    // What was noticed by the write that told of something else is still to be told.
    output.gaps_written();
    let gaps = output.gaps();
    assert_eq!(gaps.len(), 1);
    assert_eq!((gaps[0].reason, gaps[0].seq_first, gaps[0].seq_last), (GapReason::SinkFailed, 0, 2));
    assert_eq!((gaps[0].dropped.total(), &gaps[0].head), (2, &Some(head.to_string())));
    output.gaps_written();

    // As a rotation by others does it: moved, so nothing is lost, and an empty file in its place.
    fs::rename(folder.log(), folder.0.join("moved")).unwrap();
    fs::write(folder.log(), "").unwrap();
    hand.write(&mut output, Kind::TokenRefused, 1).await.unwrap();
    assert_eq!((numbers(&folder.log()), numbers(&folder.0.join("moved"))), (vec![4], vec![3]));
    assert!(output.gaps().is_empty());
    assert_eq!(fs::metadata(folder.log()).unwrap().mode() & 0o777, 0o600);

    // A file of somebody else's is kept, as is what somebody wrote into or cut from ours.
    fs::rename(folder.log(), folder.0.join("moved again")).unwrap();
    fs::write(folder.log(), "not ours").unwrap();
    hand.write(&mut output, Kind::TokenRefused, 1).await.unwrap();
    File::options().write(true).open(folder.log()).unwrap().set_len(10).unwrap();
    hand.write(&mut output, Kind::TokenRefused, 1).await.unwrap();
    assert_eq!(numbers(&folder.log()), [6]);
    for (piece, text) in
        [("audit-unreadable-1-0.jsonl.zst", "not ours"), ("audit-unreadable-1-0.1.jsonl.zst", "{\"v\":1,\"se")]
    {
        until(|| folder.0.join(piece).exists().then_some(())).await;
        assert_eq!(unpacked(&folder.0.join(piece)), text.as_bytes());
    }
}

#[tokio::test]
async fn a_folder_that_is_gone_is_a_failure_until_it_is_back() {
    let folder = Folder::new();
    let inner = folder.0.join("inner");
    fs::create_dir(&inner).unwrap();
    let settings = FileSettings::new(inner.join("audit.jsonl"));
    let (mut output, _) = open(&settings, 1).await;
    let mut hand = Hand::new(1, None);
    hand.life(&mut output, 2, false).await;
    until(|| fs::remove_dir_all(&inner).ok()).await;
    let (batch, _) = hand.batch(Kind::TokenRefused, 1);
    assert_eq!(output.write(&batch, true).await.unwrap_err().kind(), io::ErrorKind::NotFound);
    assert!(output.gaps().is_empty(), "nothing to tell it to");
    fs::create_dir(&inner).unwrap();
    output.write(&batch, true).await.unwrap();
    assert_eq!(output.gaps()[0].dropped.total(), 2);
}

#[tokio::test]
async fn a_link_is_followed() {
    let folder = Folder::new();
    fs::create_dir(folder.0.join("elsewhere")).unwrap();
    fs::write(folder.0.join("elsewhere/real.jsonl"), "").unwrap();
    std::os::unix::fs::symlink("elsewhere/real.jsonl", folder.log()).unwrap();
    let (mut output, _) = open(&folder.settings(), 1).await;
    Hand::new(1, None).life(&mut output, 1, false).await;
    assert!(fs::symlink_metadata(folder.log()).unwrap().is_symlink());
    assert_eq!(numbers(&folder.0.join("elsewhere/real.jsonl")), [1]);
}
