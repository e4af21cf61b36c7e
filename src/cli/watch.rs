//! `reconcile watch`.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use super::{
    args::{Mode, WatchArgs},
    configuration,
    error::CommandError,
    exit::ExitStatus,
    inputs, journal, plan_file, planning, selection, setup,
    signal::Stop,
    view::Ui,
};
use crate::{
    agent::{self, Agent},
    config,
    diagnostic::Diagnostic,
    journal::RunOrigin,
    manifest::{self, Retain},
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
    let filter = selection::filter(&args.inputs).map_err(CommandError::usage)?;
    // Manifests may come to name any target.
    let all: std::collections::BTreeSet<Arc<str>> =
        config.iter().flat_map(|config| config.targets.iter().map(|target| target.name.clone())).collect();
    let setups = config.as_ref().map(|config| plan_file::setups(config, &all.iter().collect(), args.network.sandbox));
    let setups = setups.unwrap_or_default();
    let connected = setup::connect(&args.network, config.as_ref(), &all).await.map_err(CommandError::failed)?;
    if config.is_none() {
        return Err(CommandError::failed(configuration::missing(&inputs::paths(&args.inputs))));
    }
    let settings = config.as_ref().map(|config| config.watch.clone()).unwrap_or_default();
    let agent = Agent {
        skip: setup::skipped(&args.inputs, config.as_ref()),
        overlays: args.inputs.overlays.clone(),
        follow_links: args.inputs.follow_links,
        allow_empty: args.inputs.allow_empty,
        targets: configuration::targets(config.as_ref(), &inputs::paths(&args.inputs)),
        variables,
        connections: connected.connections.clone(),
        mode: match args.mode {
            Some(Mode::Enforce) => config::Mode::Enforce,
            Some(Mode::Report) => config::Mode::Report,
            None => settings.mode,
        },
        safety: config.as_ref().map(|config| config.safety.clone()).unwrap_or_default(),
        filter: Some(filter),
        resync: args.resync.or(settings.resync).unwrap_or(agent::RESYNC),
        poll: args.poll,
        surroundings: journal::surroundings(
            RunOrigin::here("watch", &inputs::paths(&args.inputs)),
            args.state.state_dir.as_deref(),
            args.network.sandbox,
            args.state.lock_timeout,
            config.as_ref(),
        ),
        timeout: args.network.timeout,
        setups,
        config: config.as_ref().map(|config| config.path.display().to_string()),
        ..Agent::new(inputs::paths(&args.inputs), platform::ALL)
    };
    let address = args.listen.or(settings.listen).unwrap_or(LISTEN);
    let listener = tokio::net::TcpListener::bind(address).await;
    let listener = listener.map_err(|error| CommandError::failed(format!("cannot listen on {address}: {error}")))?;
    let address = listener.local_addr().map_err(|error| CommandError::failed(error.to_string()))?;
    ui.always(&format!("listening on http://{address}"));
    if let Some(sandbox) = &connected.sandbox {
        ui.always(&format!("sandbox listening on http://{}", sandbox.address()));
    }
    let registry = Arc::new(agent.metrics.registry(Some(connected.shared.counters().clone())));
    let pages = tokio::spawn(web::serve(listener, agent.status.clone(), registry, stop.token().clone()));
    let ended = agent::run(agent, stop.token().clone()).await;
    stop.token().cancel();
    let _ = pages.await;
    planning::end(connected).await;
    ended.map_err(|error| CommandError::usage(error.to_string()))
}
