use std::time::{Duration, UNIX_EPOCH};

use crate::chat::calendar::written;

#[test]
fn dates_are_those_of_the_calendar() {
    let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    for (seconds, date) in [
        (0, "Thursday 01 January 1970 00:00:00 12 AM"),
        (951_827_696, "Tuesday 29 February 2000 12:34:56 12 PM"),
        (1_709_251_199, "Thursday 29 February 2024 23:59:59 11 PM"),
        (1_709_251_200, "Friday 01 March 2024 00:00:00 12 AM"),
        (4_107_542_400, "Monday 01 March 2100 00:00:00 12 AM"),
    ] {
        assert_eq!(written(at(seconds), "%A %d %B %Y %H:%M:%S %I %p"), date);
    }
    assert_eq!(written(at(951_827_696), "%d %b %y, %F %a %e %j 100%% %"), "29 Feb 00, 2000-02-29 Tue 29 %j 100% %");
}
