//! `reconcile watch`.

mod settings;

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use secrecy::SecretString;

use self::settings::{Reload, SettingsRead};
use super::{
    args::WatchArgs,
    configuration,
    error::CommandError,
    exit::ExitStatus,
    inputs, planning, selection, setup,
    signal::{self, Stop},
    view::Ui,
};
use crate::{
    agent::{self, Agent, Observer},
    config::{self, Config},
    diagnostic::Diagnostic,
    manifest::{self, Retain},
    notify::{self, Webhook},
    platform,
    source::Sources,
    web,
};

/// Where the pages are served where nothing else is said.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8321);

/// Runs until a signal comes.
pub(super) async fn run(args: &WatchArgs, ui: &Ui) -> Result<ExitStatus, CommandError> {
    let stop = Stop::listen();
    watch(args, &stop, ui).await.map(|()| ExitStatus::Success)
}

async fn watch(args: &WatchArgs, stop: &Stop, ui: &Ui) -> Result<(), CommandError> {
    let wake = signal::hangups();
    // First of all: what changes while the rest is read is then read once more.
    let digest = SettingsRead::new(args).digest();
    let (mut sources, mut diagnostics) = (Sources::default(), Vec::new());
    let config = configuration::read(
        args.inputs.config.as_deref(),
        &inputs::paths(&args.inputs),
        &mut sources,
        &mut diagnostics,
    )
    .map_err(CommandError::failed)?;
    let secrets = config.clone();
    let variables = setup::variables(&args.inputs, &mut sources, &mut diagnostics)
        .map_err(CommandError::usage)?
        .hiding(move || secrets.as_ref().map(config::Config::known_secrets).unwrap_or_default());
    configuration::notes(&args.inputs).iter().for_each(|note| tracing::info!("{note}"));
    ui.diagnostics(&diagnostics, &sources);
    if diagnostics.iter().any(Diagnostic::is_error) {
        return Err(CommandError::all(Vec::new()));
    }
    let names = manifest::Options { retain: Retain::Addresses, without_places: true, ..manifest::Options::default() };
    // A slip on the command line would be one in each pass; what the files hold may change.
    if !args.inputs.set.is_empty()
        && let Ok(loaded) = setup::read_with(&args.inputs, &names)
        && !loaded.is_broken()
    {
        selection::assignments(&args.inputs, &loaded).map_err(CommandError::usage)?;
    }
    let filter = selection::filter(&args.inputs.selection).map_err(CommandError::usage)?;
    // Manifests may come to name any target.
    let all: BTreeSet<Arc<str>> =
        config.iter().flat_map(|config| config.targets.iter().map(|target| target.name.clone())).collect();
    let connected = setup::connect(&args.network, config.as_ref(), &all).await.map_err(CommandError::failed)?;
    let Some(config) = config else {
        return Err(CommandError::failed(configuration::missing(&inputs::paths(&args.inputs))));
    };
    let reload =
        Reload::new(args, (&config, digest), &connected.connections, (&connected.shared, connected.sandbox.as_ref()));
    let agent = Agent {
        overlays: args.inputs.overlays.clone(),
        follow_links: args.inputs.follow_links,
        allow_empty: args.inputs.allow_empty,
        settings: settings::settings(args, &config, variables, connected.connections.clone()),
        loader: Some(Box::new(reload)),
        wake,
        filter: Some(filter),
        poll: args.poll,
        timeout: args.network.timeout,
        ..Agent::new(inputs::paths(&args.inputs), platform::ALL)
    };
    let token = match &config.watch.token {
        None => None,
        Some(source) => Some(token(source.clone()).await?),
    };
    let address = args.listen.or(config.watch.listen).unwrap_or(LISTEN);
    let listener = tokio::net::TcpListener::bind(address).await;
    let listener = listener.map_err(|error| CommandError::failed(format!("cannot listen on {address}: {error}")))?;
    let address = listener.local_addr().map_err(|error| CommandError::failed(error.to_string()))?;
    ui.always(&format!("listening on http://{address}"));
    if let Some(sandbox) = &connected.sandbox {
        ui.always(&format!("sandbox listening on http://{}", sandbox.address()));
    }
    let counters = connected.shared.counters();
    let pages = web::Pages {
        registry: Arc::new(agent.metrics.registry(Some(counters.clone()))),
        observer: Observer {
            status: agent.status.clone(),
            inventory: agent.inventory.clone(),
            control: agent.control.clone(),
            counters: Some(counters.clone()),
            store: agent.settings.surroundings.recorded(),
        },
        token,
    };
    notify_by_webhooks(args, &config, &agent, stop)?;
    let pages = tokio::spawn(web::serve(listener, pages, stop.token().clone()));
    let ended = agent::run(agent, stop.token().clone()).await;
    stop.token().cancel();
    let _ = pages.await;
    planning::end(connected).await;
    ended.map_err(|error| CommandError::usage(error.to_string()))
}

/// Sends messages to the webhooks of the configuration. What happens in a sandbox concerns nobody.
fn notify_by_webhooks(args: &WatchArgs, config: &Config, agent: &Agent, stop: &Stop) -> Result<(), CommandError> {
    if config.notify.is_empty() || args.network.sandbox {
        return Ok(());
    }
    let transport = setup::transport(&args.network, notify::TIMEOUT).map_err(CommandError::failed)?;
    let webhooks = config.notify.iter().map(Webhook::new).collect();
    tokio::spawn(notify::run(webhooks, transport, agent.inventory.notices().receive(), stop.token().clone()));
    Ok(())
}

/// Fetches the token of the controls; a program may print it.
async fn token(source: config::Source) -> Result<SecretString, CommandError> {
    let fetched = tokio::task::spawn_blocking(move || source.secret()).await;
    let problem = |why: String| CommandError::failed(format!("cannot get `watch.token`: {why}"));
    fetched.map_err(|error| problem(error.to_string()))?.map_err(|error| problem(error.to_string()))
}
