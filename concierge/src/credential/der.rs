//! Writes DER (X.690 section 10): the dozen shapes that a certificate and a certificate request are made of.
//!
//! Own encoder, because the subject needs one RDN for each group: `rcgen`'s distinguished name keeps one value for each
//! attribute type, so it cannot say two organisations.

use jiff::{Timestamp, civil::DateTime, tz::Offset};

use crate::time::UnixTime;

/// Universal tags, with the constructed bit where DER wants it.
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;
pub(super) const UTF8_STRING: u8 = 0x0c;
const BOOLEAN: u8 = 0x01;
const GENERALIZED_TIME: u8 = 0x18;
const UTC_TIME: u8 = 0x17;

/// A growing DER document.
#[derive(Debug, Default)]
pub(super) struct Writer(Vec<u8>);

// === impl Writer ===

impl Writer {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Something encoded before.
    pub(super) fn raw(&mut self, der: &[u8]) {
        self.0.extend_from_slice(der);
    }

    /// One element whose content `body` writes.
    pub(super) fn nested(&mut self, tag: u8, body: impl FnOnce(&mut Self)) {
        self.0.push(tag);
        let length_at = self.0.len();
        // Most elements are shorter than 128 bytes: reserve the short form, widen it when that proves wrong.
        self.0.push(0);
        body(self);
        let length = self.0.len() - length_at - 1;
        let encoded = encode_length(length);
        self.0.splice(length_at..=length_at, encoded.as_slice().iter().copied());
    }

    /// One element with these content bytes.
    pub(super) fn element(&mut self, tag: u8, content: &[u8]) {
        self.nested(tag, |writer| writer.raw(content));
    }

    /// BIT STRING of whole bytes.
    pub(super) fn bits(&mut self, bytes: &[u8]) {
        self.nested(BIT_STRING, |writer| {
            writer.0.push(0);
            writer.raw(bytes);
        });
    }

    /// An X.509 extension (RFC 5280 section 4.1): identifier, criticality, value in its octet string.
    pub(super) fn extension(&mut self, identifier: &[u8], critical: bool, value: impl FnOnce(&mut Self)) {
        self.nested(SEQUENCE, |writer| {
            writer.element(OBJECT_IDENTIFIER, identifier);
            if critical {
                writer.element(BOOLEAN, &[0xff]);
            }
            writer.nested(OCTET_STRING, value);
        });
    }

    /// A `Time` of RFC 5280 section 4.1.2.5: `UTCTime` until 2049, `GeneralizedTime` from 2050 on, whole seconds.
    pub(super) fn time(&mut self, time: UnixTime) {
        let civil = civil(time);
        let short = format!(
            "{:02}{:02}{:02}{:02}{:02}Z",
            civil.month(),
            civil.day(),
            civil.hour(),
            civil.minute(),
            civil.second()
        );
        if (1950..2050).contains(&civil.year()) {
            self.element(UTC_TIME, format!("{:02}{short}", civil.year() % 100).as_bytes());
        } else {
            self.element(GENERALIZED_TIME, format!("{:04}{short}", civil.year()).as_bytes());
        }
    }
}

fn civil(time: UnixTime) -> DateTime {
    // Out of range only beyond the year 9999, which X.509 cannot write either.
    let timestamp = Timestamp::from_second(time.as_secs()).unwrap_or(Timestamp::MAX);
    Offset::UTC.to_datetime(timestamp)
}

/// A length of at most 2^32 - 1 in its shortest form (X.690 section 10.1).
fn encode_length(length: usize) -> Length {
    let mut bytes = [0; 5];
    let big_endian = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    let used = if length < 0x80 {
        bytes[0] = big_endian[3];
        1
    } else {
        let skip = big_endian.iter().take_while(|byte| **byte == 0).count();
        let significant = &big_endian[skip..];
        bytes[0] = 0x80 | significant.len().to_le_bytes()[0];
        bytes[1..=significant.len()].copy_from_slice(significant);
        1 + significant.len()
    };
    Length { bytes, used }
}

struct Length {
    bytes: [u8; 5],
    used: usize,
}

impl Length {
    fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.used]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_their_shortest_form() {
        for (length, expected) in [
            (0_usize, vec![0x00]),
            (127, vec![0x7f]),
            (128, vec![0x81, 0x80]),
            (255, vec![0x81, 0xff]),
            (256, vec![0x82, 0x01, 0x00]),
            (65_536, vec![0x83, 0x01, 0x00, 0x00]),
        ] {
            assert_eq!(encode_length(length).as_slice(), expected, "{length}");
        }
    }

    #[test]
    fn widens_the_length_of_a_long_element() {
        let mut writer = Writer::default();
        writer.nested(SEQUENCE, |inner| inner.element(OCTET_STRING, &[7; 300]));
        let der = writer.into_bytes();
        assert_eq!(der[..8], [0x30, 0x82, 0x01, 0x30, 0x04, 0x82, 0x01, 0x2c]);
        assert_eq!(der.len(), 308);
    }

    #[test]
    fn times_change_their_form_in_2050() {
        let encoded = |seconds| {
            let mut writer = Writer::default();
            writer.time(UnixTime::from_secs(seconds));
            String::from_utf8(writer.into_bytes().split_off(2)).unwrap()
        };
        assert_eq!(encoded(1_795_233_600), "261121040000Z");
        assert_eq!(encoded(2_524_607_999), "491231235959Z");
        assert_eq!(encoded(2_524_608_000), "20500101000000Z");
    }
}
