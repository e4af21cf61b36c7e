//! By which of their values documents name hosts.

use crate::{
    model::{Desired, Json},
    platform::bk_cmdb::{attribute::text, kinds::decode_common},
};

/// The inner addresses of a host.
pub(super) const ADDRESS: &str = "bk_host_innerip";
/// The cloud area of a host; another one may have the same addresses.
pub(super) const CLOUD: &str = "bk_cloud_id";
/// The asset number of a host.
pub(super) const ASSET: &str = "bk_asset_id";
/// The id of a host.
pub(super) const ID: &str = "bk_host_id";

/// The values by which a document names its host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Key {
    /// Its id.
    Id(i64),
    /// A cloud area and one of the inner addresses.
    Address(i64, String),
    /// Its asset number.
    Asset(String),
}

impl Key {
    /// Returns the key in a document; its decoder has seen to it that there is one.
    pub(super) fn of(desired: &Desired) -> Option<Self> {
        let value = |name: &str| decode_common::matched_field(desired, "", name).map(|value| &value.value);
        let number = |name: &str| value(name).and_then(|value| value.as_i64().or_else(|| text(value)?.parse().ok()));
        let word = |name: &str| value(name).and_then(text).map(|word| word.trim().to_owned());
        number(ID)
            .map(Self::Id)
            .or_else(|| Some(Self::Address(number(CLOUD)?, word(ADDRESS)?)))
            .or_else(|| word(ASSET).map(Self::Asset))
    }

    /// Returns all keys that name the host of a row.
    pub(super) fn of_row(row: &Json) -> Vec<Self> {
        let mut keys: Vec<Self> = row[ID].as_i64().map(Self::Id).into_iter().collect();
        if let Some(cloud) = row[CLOUD].as_i64() {
            keys.extend(addresses(&row[ADDRESS]).map(|address| Self::Address(cloud, address.to_owned())));
        }
        keys.extend(row[ASSET].as_str().filter(|asset| !asset.is_empty()).map(|asset| Self::Asset(asset.to_owned())));
        keys
    }
}

/// Returns the addresses of a host. The server keeps a list and shows it joined by commas (contract "topology",
/// section 7).
fn addresses(value: &Json) -> impl Iterator<Item = &str> {
    let texts = value.as_str().into_iter().chain(value.items().iter().filter_map(Json::as_str));
    texts.flat_map(|text| text.split(',')).map(str::trim).filter(|text| !text.is_empty())
}

/// Returns the addresses of a host as the server shows them.
pub(super) fn shown_addresses(value: &Json) -> String {
    addresses(value).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_is_found_by_each_of_its_addresses() {
        let check = |row: serde_json::Value, expected: &[Key]| assert_eq!(Key::of_row(&row.into()), expected);
        let address = |address: &str| Key::Address(0, address.to_owned());
        let row =
            |addresses: serde_json::Value| json!({"bk_host_id": 7, "bk_cloud_id": 0, "bk_host_innerip": addresses});
        check(row(json!("10.0.0.1")), &[Key::Id(7), address("10.0.0.1")]);
        check(row(json!("10.0.0.1,10.0.0.2")), &[Key::Id(7), address("10.0.0.1"), address("10.0.0.2")]);
        check(row(json!(["10.0.0.1", "10.0.0.2"])), &[Key::Id(7), address("10.0.0.1"), address("10.0.0.2")]);
        check(json!({"bk_host_id": 7, "bk_asset_id": ""}), &[Key::Id(7)]);
        check(json!({"bk_host_id": 7, "bk_asset_id": "A1"}), &[Key::Id(7), Key::Asset("A1".to_owned())]);
        assert_eq!(shown_addresses(&json!(["10.0.0.1", "10.0.0.2"]).into()), "10.0.0.1,10.0.0.2");
    }
}
