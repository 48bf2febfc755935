//! The words of documents.

use super::Language;
use crate::{
    invoice::{Item, Line},
    moment::Moment,
    period::Period,
    price::{TierRange, UnitPrice},
    unit::Unit,
};

/// Seconds of a day.
const DAY: u64 = 86_400;

/// A word that documents have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    Invoice,
    CreditNote,
    Statement,
    Number,
    Period,
    Issued,
    Tenant,
    Partner,
    Replaces,
    ForInvoice,
    Reason,
    From,
    To,
    Line,
    Description,
    Quantity,
    UnitPrice,
    Amount,
    Subtotal,
    Discount,
    Net,
    Tax,
    Total,
    Credit,
    Due,
    Model,
    Unit,
    Gross,
    PlatformShare,
    Payable,
    Opening,
    Earned,
    Paid,
    Closing,
}

impl Word {
    pub(super) fn text(self, language: Language) -> &'static str {
        let (english, chinese) = self.both();
        match language {
            Language::English => english,
            Language::Chinese => chinese,
        }
    }

    fn both(self) -> (&'static str, &'static str) {
        match self {
            Self::Invoice => ("Invoice", "账单"),
            Self::CreditNote => ("Credit note", "贷项通知单"),
            Self::Statement => ("Partner statement", "合作伙伴结算单"),
            Self::Number => ("Number", "编号"),
            Self::Period => ("Period", "账期"),
            Self::Issued => ("Issued", "开具日期"),
            Self::Tenant => ("Account", "账户"),
            Self::Partner => ("Partner", "合作伙伴"),
            Self::Replaces => ("Replaces invoice", "替代账单"),
            Self::ForInvoice => ("For invoice", "对应账单"),
            Self::Reason => ("Reason", "原因"),
            Self::From => ("From", "开具方"),
            Self::To => ("To", "接收方"),
            Self::Line => ("Line", "行号"),
            Self::Description => ("Description", "说明"),
            Self::Quantity => ("Quantity", "数量"),
            Self::UnitPrice => ("Unit price", "单价"),
            Self::Amount => ("Amount", "金额"),
            Self::Subtotal => ("Subtotal", "小计"),
            Self::Discount => ("Discount", "折扣"),
            Self::Net => ("Net", "税前金额"),
            Self::Tax => ("Tax", "税额"),
            Self::Total => ("Total", "合计"),
            Self::Credit => ("Credit used", "已用余额"),
            Self::Due => ("Amount due", "应付金额"),
            Self::Model => ("Model", "模型"),
            Self::Unit => ("Unit", "单位"),
            Self::Gross => ("Gross", "总额"),
            Self::PlatformShare => ("Platform share", "平台分成"),
            Self::Payable => ("Payable", "应付合作伙伴"),
            Self::Opening => ("Opening balance", "期初余额"),
            Self::Earned => ("Earned", "本期收入"),
            Self::Paid => ("Paid out", "已支付"),
            Self::Closing => ("Closing balance", "期末余额"),
        }
    }
}

/// What a unit is called.
pub(super) fn unit(unit: Unit, language: Language) -> &'static str {
    let (english, chinese) = match unit {
        Unit::Calls => ("calls", "调用次数"),
        Unit::PromptTokens => ("prompt tokens", "输入词元"),
        Unit::CachedTokens => ("cached tokens", "缓存词元"),
        Unit::CompletionTokens => ("completion tokens", "输出词元"),
        Unit::Items => ("items", "条目"),
        Unit::AudioMs => ("ms of audio", "音频毫秒"),
        Unit::ComputeUs => ("µs of compute", "计算微秒"),
    };
    if language == Language::English { english } else { chinese }
}

/// What a line is for, in words.
pub(super) fn line(line: &Line, language: Language) -> String {
    let plan = &line.plan;
    let english = language == Language::English;
    let part = |time: &Period, seconds: u64, of: u64| format!("{}{}", span(time), fraction(seconds, of, language));
    match &line.item {
        Item::Fee { time, seconds, of } if english => format!("{plan}: fee, {}", part(time, *seconds, *of)),
        Item::Fee { time, seconds, of } => format!("{plan}：固定费用，{}", part(time, *seconds, *of)),
        Item::Seats { time, seconds, of } if english => format!("{plan}: seats, {}", part(time, *seconds, *of)),
        Item::Seats { time, seconds, of } => format!("{plan}：席位，{}", part(time, *seconds, *of)),
        Item::Trial { time } if english => format!("{plan}: trial, {}", span(time)),
        Item::Trial { time } => format!("{plan}：试用，{}", span(time)),
        Item::Included { model, unit: of } if english => format!("{model}: {}, included", unit(*of, language)),
        Item::Included { model, unit: of } => format!("{model}：{}，套餐内", unit(*of, language)),
        Item::NotCharged { model, unit: of } if english => format!("{model}: {}, not charged", unit(*of, language)),
        Item::NotCharged { model, unit: of } => format!("{model}：{}，不计费", unit(*of, language)),
        Item::Usage { model, unit: of, tier, batch, .. } => {
            let colon = if english { ": " } else { "：" };
            let by = if !*batch {
                ""
            } else if english {
                ", in batches"
            } else {
                "，批处理"
            };
            format!("{model}{colon}{}{by}{}", unit(*of, language), tier.map(|tier| range(tier, language)).unwrap_or_default())
        }
        Item::Minimum if english => format!("{plan}: up to the minimum"),
        Item::Minimum => format!("{plan}：补足最低消费"),
    }
}

/// How much of a period a part is; nothing, where it is all of it.
fn fraction(seconds: u64, of: u64, language: Language) -> String {
    let days = seconds.is_multiple_of(DAY) && of.is_multiple_of(DAY);
    let (part, whole) = if days { (seconds / DAY, of / DAY) } else { (seconds, of) };
    match language {
        _ if seconds == of => String::new(),
        Language::English => format!(" ({} of {} {})", grouped(part), grouped(whole), if days { "days" } else { "s" }),
        Language::Chinese => format!("（{}/{} {}）", grouped(part), grouped(whole), if days { "天" } else { "秒" }),
    }
}

/// A time as people say it: from its first day to its last, where it is made of days, and otherwise from an instant to another. In UTC.
pub(super) fn span(time: &Period) -> String {
    let midnight = |at: Moment| at.seconds().is_multiple_of(DAY);
    if midnight(time.start) && midnight(time.end) {
        format!("{} – {}", time.start.date(), time.end.earlier(1).date())
    } else {
        format!("{} – {}", time.start, time.end)
    }
}

/// A number with a comma between thousands.
pub(super) fn grouped(number: impl Into<i128>) -> String {
    let number = number.into();
    let digits = number.unsigned_abs().to_string();
    let mut out = String::from(if number < 0 { "-" } else { "" });
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn range(tier: TierRange, language: Language) -> String {
    let from = grouped(tier.above.saturating_add(1));
    match (tier.up_to.map(grouped), language) {
        (Some(to), Language::English) => format!(", tier {from} to {to}"),
        (None, Language::English) => format!(", tier from {from}"),
        (Some(to), Language::Chinese) => format!("，第 {from} 至 {to} 档"),
        (None, Language::Chinese) => format!("，{from} 起档"),
    }
}

/// A price with the number of units that it is for.
pub(super) fn price(price: UnitPrice) -> String {
    if price.per == 1 { price.price.to_string() } else { format!("{} / {}", price.price, grouped(price.per)) }
}
