//! The proxies that the environment names.

use super::TransportError;

/// Addresses that never go through a proxy: this machine.
const LOOPBACK: &str = "localhost,127.0.0.0/8,::1";

/// The proxies of the environment, checked.
///
/// `HTTP_PROXY`, `HTTPS_PROXY` and `ALL_PROXY` are read in capital or in small letters, and `NO_PROXY` names the hosts
/// that are reached directly; `*` stands for all.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    all: Option<Proxy>,
    direct: String,
}

/// A proxy and the variable that names it. The URL may hold a password.
#[derive(Clone)]
struct Proxy {
    variable: String,
    url: String,
}

/// Makes a proxy of an address for one sort of requests.
type MakeProxy = fn(&str) -> reqwest::Result<reqwest::Proxy>;

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.variable)
    }
}

impl Proxies {
    /// Returns the proxies that variables name; the error names a variable that cannot be one.
    pub fn from_variables(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, TransportError> {
        let value = |names: [&str; 2]| {
            let found = names.into_iter().find_map(|name| Some((name, variable(name)?)));
            found.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).filter(|(_, value)| !value.is_empty())
        };
        let direct = value(["NO_PROXY", "no_proxy"]).map(|(_, list)| list).unwrap_or_default();
        if direct.split(',').any(|entry| entry.trim() == "*") {
            return Ok(Self::default());
        }
        let proxy = |names| value(names).map(|(variable, url)| checked(variable, &url)).transpose();
        // Where a web server runs programs, a header of a request sets the variable in capital letters.
        let http = if variable("REQUEST_METHOD").is_some() { ["http_proxy"; 2] } else { ["HTTP_PROXY", "http_proxy"] };
        Ok(Self {
            http: proxy(http)?,
            https: proxy(["HTTPS_PROXY", "https_proxy"])?,
            all: proxy(["ALL_PROXY", "all_proxy"])?,
            direct,
        })
    }

    /// Returns the variables in use.
    pub(super) fn variables(&self) -> Vec<String> {
        [&self.http, &self.https, &self.all].into_iter().flatten().map(|proxy| proxy.variable.clone()).collect()
    }

    /// Makes a client use the proxies, and no others.
    pub(super) fn apply(&self, builder: reqwest::ClientBuilder) -> Result<reqwest::ClientBuilder, TransportError> {
        let mut builder = builder.no_proxy();
        let direct = reqwest::NoProxy::from_string(&format!("{LOOPBACK},{}", self.direct));
        let kinds: [(&Option<Proxy>, MakeProxy); 3] = [
            (&self.http, |url| reqwest::Proxy::http(url)),
            (&self.https, |url| reqwest::Proxy::https(url)),
            (&self.all, |url| reqwest::Proxy::all(url)),
        ];
        for (proxy, kind) in kinds {
            if let Some(proxy) = proxy {
                let proxy = kind(&proxy.url).map_err(|_| TransportError::Proxy(proxy.variable.clone()))?;
                builder = builder.proxy(proxy.no_proxy(direct.clone()));
            }
        }
        Ok(builder)
    }
}

/// Returns a proxy whose URL can be used; an address without a scheme is one of HTTP.
fn checked(variable: String, url: &str) -> Result<Proxy, TransportError> {
    let url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    let is_usable = reqwest::Url::parse(&url).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https") && url.host_str().is_some_and(|host| !host.is_empty())
    });
    if is_usable { Ok(Proxy { variable, url }) } else { Err(TransportError::Proxy(variable)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_come_from_variables() {
        let check = |variables: &[(&str, &str)], expected: &str| {
            let variable =
                |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
            let found = match Proxies::from_variables(&variable) {
                Ok(proxies) => proxies.variables().join(" "),
                Err(error) => error.to_string(),
            };
            assert_eq!(found, expected, "{variables:?}");
        };
        let wrong = "is no address of a proxy such as http://proxy.example.com:3128";
        check(&[], "");
        check(&[("HTTP_PROXY", "http://p:3128"), ("https_proxy", "p:3128")], "HTTP_PROXY https_proxy");
        check(&[("ALL_PROXY", "http://user:canary@p:1")], "ALL_PROXY");
        check(&[("HTTP_PROXY", "http://p:3128"), ("NO_PROXY", "*")], "");
        check(&[("HTTP_PROXY", "http://p:3128"), ("no_proxy", "a.example.com, *")], "");
        check(&[("HTTP_PROXY", ""), ("http_proxy", " ")], "");
        check(&[("HTTP_PROXY", "http://p:3128"), ("REQUEST_METHOD", "GET")], "");
        check(&[("HTTPS_PROXY", "http://p:99999")], &format!("the environment variable HTTPS_PROXY {wrong}"));
        check(&[("http_proxy", "ftp://p")], &format!("the environment variable http_proxy {wrong}"));
        check(&[("ALL_PROXY", "http://u:canary@")], &format!("the environment variable ALL_PROXY {wrong}"));
    }
}
