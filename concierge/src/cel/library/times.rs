//! Timestamps and durations (CEL's standard definitions): conversions, arithmetic, and what a clock shows.

use crate::cel::{
    Budget, Call, EvaluationError, Overload, Timestamp, Type, Value, duration, timestamp::WallTime, zone,
};

const TIMESTAMP: EvaluationError = EvaluationError::Unreadable("timestamp");
const DURATION: EvaluationError = EvaluationError::Unreadable("duration");
const WRONG_TYPE: EvaluationError = EvaluationError::NoSuchOverload("a function of times");

const MILLISECOND: i64 = 1_000_000;
const SECOND: i64 = 1_000 * MILLISECOND;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

pub(super) fn overloads() -> Vec<Overload> {
    let mut overloads = vec![
        Overload::global("timestamp", [Type::Timestamp], Type::Timestamp, same),
        Overload::global("timestamp", [Type::Int], Type::Timestamp, timestamp_of_int),
        Overload::global("timestamp", [Type::String], Type::Timestamp, timestamp_of_string),
        Overload::global("duration", [Type::Duration], Type::Duration, same),
        Overload::global("duration", [Type::String], Type::Duration, duration_of_string),
        Overload::global("string", [Type::Timestamp], Type::String, string),
        Overload::global("string", [Type::Duration], Type::String, string),
        Overload::global("int", [Type::Timestamp], Type::Int, int),
        Overload::global("int", [Type::Duration], Type::Int, int),
        Overload::global("_+_", [Type::Duration, Type::Duration], Type::Duration, add),
        Overload::global("_+_", [Type::Duration, Type::Timestamp], Type::Timestamp, add),
        Overload::global("_+_", [Type::Timestamp, Type::Duration], Type::Timestamp, add),
        Overload::global("_-_", [Type::Duration, Type::Duration], Type::Duration, subtract),
        Overload::global("_-_", [Type::Timestamp, Type::Duration], Type::Timestamp, subtract),
        Overload::global("_-_", [Type::Timestamp, Type::Timestamp], Type::Duration, subtract),
        Overload::member("getHours", [Type::Duration], Type::Int, |v, b| whole_units(v, b, HOUR)),
        Overload::member("getMinutes", [Type::Duration], Type::Int, |v, b| whole_units(v, b, MINUTE)),
        Overload::member("getSeconds", [Type::Duration], Type::Int, |v, b| whole_units(v, b, SECOND)),
        Overload::member("getMilliseconds", [Type::Duration], Type::Int, |v, b| whole_units(v, b, MILLISECOND)),
    ];
    // CEL counts months, days of the month and days of the year from 0; only `getDate` counts from 1.
    let parts: [(&'static str, Call); 10] = [
        ("getFullYear", |v, b| shown(v, b, |time| time.date.year)),
        ("getMonth", |v, b| shown(v, b, |time| time.date.month - 1)),
        ("getDate", |v, b| shown(v, b, |time| time.date.day)),
        ("getDayOfMonth", |v, b| shown(v, b, |time| time.date.day - 1)),
        ("getDayOfWeek", |v, b| shown(v, b, |time| time.date.of_week())),
        ("getDayOfYear", |v, b| shown(v, b, |time| time.date.of_year())),
        ("getHours", |v, b| shown(v, b, |time| time.hour)),
        ("getMinutes", |v, b| shown(v, b, |time| time.minute)),
        ("getSeconds", |v, b| shown(v, b, |time| time.second)),
        ("getMilliseconds", |v, b| shown(v, b, |time| time.nanosecond / MILLISECOND)),
    ];
    for (name, call) in parts {
        overloads.push(Overload::member(name, [Type::Timestamp], Type::Int, call));
        overloads.push(Overload::member(name, [Type::Timestamp, Type::String], Type::Int, call));
    }
    overloads
}

fn same(values: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    budget.spend(1)?;
    values.first().cloned().ok_or(WRONG_TYPE)
}

fn timestamp_of_int(values: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    budget.spend(1)?;
    let [Value::Int(seconds)] = values else { return Err(WRONG_TYPE) };
    Timestamp::from_seconds(*seconds).map(Value::Timestamp).ok_or(EvaluationError::Overflow)
}

fn timestamp_of_string(values: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let [Value::String(text)] = values else { return Err(WRONG_TYPE) };
    budget.scan(text.len())?;
    Timestamp::parse(text).map(Value::Timestamp).ok_or(TIMESTAMP)
}

fn duration_of_string(values: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let [Value::String(text)] = values else { return Err(WRONG_TYPE) };
    budget.scan(text.len())?;
    duration::parse(text).map(Value::Duration).ok_or(DURATION)
}

fn string(values: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    // The longest text has 36 bytes: a timestamp of the year 10000 with nine digits of a second and an offset.
    budget.build(36)?;
    Ok(match values {
        [Value::Timestamp(timestamp)] => timestamp.to_string(),
        [Value::Duration(nanoseconds)] => duration::print(*nanoseconds),
        _ => return Err(WRONG_TYPE),
    }
    .into())
}

/// Seconds since 1970 of a timestamp, nanoseconds of a duration.
fn int(values: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    budget.spend(1)?;
    Ok(Value::Int(match values {
        [Value::Timestamp(timestamp)] => timestamp.as_seconds(),
        [Value::Duration(nanoseconds)] => *nanoseconds,
        _ => return Err(WRONG_TYPE),
    }))
}

fn add(values: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    budget.spend(1)?;
    match values {
        [Value::Duration(left), Value::Duration(right)] => left.checked_add(*right).map(Value::Duration),
        [Value::Timestamp(timestamp), Value::Duration(span)] | [Value::Duration(span), Value::Timestamp(timestamp)] => {
            timestamp.plus(*span).map(Value::Timestamp)
        }
        _ => return Err(WRONG_TYPE),
    }
    .ok_or(EvaluationError::Overflow)
}

fn subtract(values: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    budget.spend(1)?;
    match values {
        [Value::Duration(left), Value::Duration(right)] => left.checked_sub(*right).map(Value::Duration),
        [Value::Timestamp(timestamp), Value::Duration(span)] => timestamp.minus(*span).map(Value::Timestamp),
        [Value::Timestamp(left), Value::Timestamp(right)] => left.since(right).map(Value::Duration),
        _ => return Err(WRONG_TYPE),
    }
    .ok_or(EvaluationError::Overflow)
}

/// All of a duration in one unit, towards zero: `duration('1h').getMinutes()` is 60.
#[expect(clippy::cast_possible_truncation, reason = "292 years in milliseconds fit into a double and into an i64")]
fn whole_units(values: &[Value], budget: &mut Budget, unit: i64) -> Result<Value, EvaluationError> {
    budget.spend(1)?;
    let [Value::Duration(nanoseconds)] = values else { return Err(WRONG_TYPE) };
    // Go divides milliseconds as integers, and the others as doubles, which for many years may round up.
    let whole = if unit == MILLISECOND { nanoseconds / unit } else { duration::in_units(*nanoseconds, unit) as i64 };
    Ok(Value::Int(whole))
}

/// A part of what the clock shows, in UTC or in the time zone that the second argument names.
fn shown(values: &[Value], budget: &mut Budget, part: fn(&WallTime) -> i64) -> Result<Value, EvaluationError> {
    budget.spend(1)?;
    let (timestamp, offset) = match values {
        [Value::Timestamp(timestamp)] => (timestamp, 0),
        [Value::Timestamp(timestamp), Value::String(name)] => {
            (timestamp, zone::offset_at(name, timestamp.as_seconds(), budget)?)
        }
        _ => return Err(WRONG_TYPE),
    };
    Ok(Value::Int(part(&timestamp.wall_time(offset))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cel::library::tests::call;

    fn timestamp(text: &str) -> Value {
        call("timestamp", &[text.into()]).expect("a timestamp")
    }

    fn duration(text: &str) -> Value {
        call("duration", &[text.into()]).expect("a duration")
    }

    fn printed(value: &Value) -> String {
        let text = call("string", std::slice::from_ref(value)).expect("a text");
        text.as_str().map(str::to_owned).expect("a text")
    }

    const PARTS: [&str; 10] = [
        "getFullYear",
        "getMonth",
        "getDate",
        "getDayOfMonth",
        "getDayOfWeek",
        "getDayOfYear",
        "getHours",
        "getMinutes",
        "getSeconds",
        "getMilliseconds",
    ];

    /// Answers of kube-apiserver 1.36.
    #[test]
    fn parts_of_timestamps() {
        for (text, zone, expected) in [
            ("2024-02-29T12:34:56.789Z", None, [2024, 1, 29, 28, 4, 59, 12, 34, 56, 789]),
            ("2024-02-29T12:34:56.789Z", Some("America/Los_Angeles"), [2024, 1, 29, 28, 4, 59, 4, 34, 56, 789]),
            ("2024-02-29T12:34:56.789Z", Some("+13:45"), [2024, 2, 1, 0, 5, 60, 2, 19, 56, 789]),
            ("2024-12-31T23:59:59.9999Z", Some("-00:30"), [2024, 11, 31, 30, 2, 365, 23, 29, 59, 999]),
            ("2024-12-31T23:59:59.9999Z", Some("+13:45"), [2025, 0, 1, 0, 3, 0, 13, 44, 59, 999]),
            ("9999-12-31T23:59:59.999999999Z", None, [9999, 11, 31, 30, 5, 364, 23, 59, 59, 999]),
            ("9999-12-31T23:59:59.999999999Z", Some("+13:45"), [10_000, 0, 1, 0, 6, 0, 13, 44, 59, 999]),
            ("0001-01-01T00:00:00Z", Some("America/Los_Angeles"), [0, 11, 31, 30, 0, 365, 16, 7, 2, 0]),
            ("1969-12-31T23:59:59.001Z", None, [1969, 11, 31, 30, 3, 364, 23, 59, 59, 1]),
            // What is shown is UTC, whatever offset it was written in.
            ("2024-02-29T23:34:56.789+05:45", None, [2024, 1, 29, 28, 4, 59, 17, 49, 56, 789]),
        ] {
            for (part, expected) in PARTS.into_iter().zip(expected) {
                let arguments: Vec<Value> =
                    [Some(timestamp(text)), zone.map(Value::from)].into_iter().flatten().collect();
                assert_eq!(
                    call(part, &arguments).map(|value| value.as_int()),
                    Ok(Some(expected)),
                    "{text} {zone:?} {part}"
                );
            }
        }
        let unknown = call("getHours", &[timestamp("2024-02-29T12:34:56Z"), "Mars/Olympus_Mons".into()]);
        assert!(matches!(unknown, Err(EvaluationError::Unreadable("time zone"))));
    }

    /// Answers of kube-apiserver 1.36, with its roundings over hundreds of years.
    #[test]
    fn parts_of_durations() {
        for (text, expected) in [
            ("1h30m15.5s", [1, 90, 5415, 5_415_500]),
            ("-1h30m15.5s", [-1, -90, -5415, -5_415_500]),
            ("0.9999999999s", [0, 0, 0, 999]),
            ("2562046h59m59.999999999s", [2_562_047, 153_722_820, 9_223_369_200, 9_223_369_199_999]),
        ] {
            for (part, expected) in
                ["getHours", "getMinutes", "getSeconds", "getMilliseconds"].into_iter().zip(expected)
            {
                let value = call(part, &[duration(text)]);
                assert_eq!(value.map(|value| value.as_int()), Ok(Some(expected)), "{text} {part}");
            }
        }
    }

    #[test]
    fn conversions() {
        let moment = timestamp("2024-02-29T12:34:56.789+02:00");
        assert_eq!(call("int", std::slice::from_ref(&moment)).map(|value| value.as_int()), Ok(Some(1_709_202_896)));
        assert_eq!(printed(&call("timestamp", &[moment]).expect("itself")), "2024-02-29T12:34:56.789+02:00");
        assert_eq!(printed(&call("timestamp", &[Value::Int(0)]).expect("a timestamp")), "1970-01-01T00:00:00Z");
        let late = call("timestamp", &[Value::Int(253_402_300_800)]);
        assert!(matches!(late, Err(EvaluationError::Overflow)));
        assert!(matches!(call("timestamp", &["noon".into()]), Err(EvaluationError::Unreadable("timestamp"))));
        assert_eq!(call("int", &[duration("1.5s")]).map(|value| value.as_int()), Ok(Some(1_500_000_000)));
        assert_eq!(printed(&call("duration", &[duration("90m")]).expect("itself")), "5400s");
        assert!(matches!(call("duration", &["90".into()]), Err(EvaluationError::Unreadable("duration"))));
    }

    #[test]
    fn arithmetic() {
        let moment = || timestamp("2024-02-29T12:00:00+02:00");
        for (function, left, right, expected) in [
            // The offset stays, as it does in kube-apiserver.
            ("_+_", moment(), duration("24h"), "2024-03-01T12:00:00+02:00"),
            ("_+_", duration("-24h"), moment(), "2024-02-28T12:00:00+02:00"),
            ("_-_", moment(), duration("0.5s"), "2024-02-29T11:59:59.5+02:00"),
            ("_-_", moment(), timestamp("2024-02-28T12:00:00Z"), "79200s"),
            ("_+_", duration("1h"), duration("1m"), "3660s"),
            ("_-_", duration("1h"), duration("1m"), "3540s"),
        ] {
            assert_eq!(printed(&call(function, &[left, right]).expect("a value")), expected);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let (first, last) = (timestamp("0001-01-01T00:00:00Z"), timestamp("9999-12-31T23:59:59Z"));
        let (shortest, longest) = (Value::Duration(i64::MIN), Value::Duration(i64::MAX));
        for (function, left, right) in [
            ("_+_", last.clone(), duration("1s")),
            ("_-_", first.clone(), duration("1ns")),
            ("_-_", last, first),
            ("_+_", longest, duration("1ns")),
            ("_-_", shortest.clone(), duration("1ns")),
            ("_-_", timestamp("2024-02-29T12:00:00Z"), shortest),
        ] {
            assert!(matches!(call(function, &[left, right]), Err(EvaluationError::Overflow)), "{function}");
        }
    }
}
