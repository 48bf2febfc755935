//! Currencies by their ISO 4217 codes, each with the digits of its minor unit.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::error::BillingError;

/// A currency, such as `EUR`, whose minor unit is the hundredth, or `JPY`, which has none.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency {
    code: [u8; 3],
    digits: u8,
}

/// Those that have no minor unit, thousandths, or ten-thousandths.
const NONE: &str = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF";
const THREE: &str = "BHD IQD JOD KWD LYD OMR TND";
const FOUR: &str = "CLF UYW";
/// Those whose minor unit is the hundredth.
const TWO: &str = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK \
    DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD \
    MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN \
    SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD YER ZAR ZMW ZWG";

impl Currency {
    /// The code, in capitals.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.code).unwrap_or_default()
    }

    /// How many digits the minor unit has: 2 of `EUR`, 0 of `JPY`, 3 of `KWD`.
    pub fn digits(self) -> u8 {
        self.digits
    }
}

impl FromStr for Currency {
    type Err = BillingError;

    fn from_str(text: &str) -> Result<Self, BillingError> {
        let unknown = || BillingError::UnknownCurrency(shown(text));
        let code: [u8; 3] = text.as_bytes().try_into().map_err(|_| unknown())?;
        let listed = |codes: &str| codes.split(' ').any(|one| one == text);
        let digits = [(TWO, 2), (NONE, 0), (THREE, 3), (FOUR, 4)].into_iter().find(|(codes, _)| listed(codes));
        digits.map(|(_, digits)| Self { code, digits }).ok_or_else(unknown)
    }
}

impl TryFrom<String> for Currency {
    type Error = BillingError;

    fn try_from(text: String) -> Result<Self, BillingError> {
        text.parse()
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.code().to_owned()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// The beginning of a text that is to be quoted in a message.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_currency_knows_its_minor_digits() {
        for (code, digits) in [("EUR", 2), ("USD", 2), ("CNY", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4), ("ZWG", 2)] {
            assert_eq!(code.parse::<Currency>().unwrap().digits(), digits, "{code}");
        }
    }

    #[test]
    fn what_is_no_code_is_refused() {
        for bad in ["", "eur", "EU", "EURO", "XXX", "X F", "€", "AE "] {
            assert!(bad.parse::<Currency>().is_err(), "{bad:?}");
        }
    }
}
