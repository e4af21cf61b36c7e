//! Examples of command lines, as `--help` shows them behind the flags.

pub(super) const VALIDATE: &str = "\
Examples:
  # Check everything below the current directory, without a network
  reconcile validate
  # Check fields and values against the models on the servers too
  reconcile validate manifests --online
  # Annotate a pull request of GitHub
  reconcile validate manifests -o github";

pub(super) const PLAN: &str = "\
Examples:
  # Show what differs
  reconcile plan manifests
  # Plan some documents only
  reconcile plan manifests -l 'site in (sz, bj)' --exclude 'Instance/core-*'
  # Save a plan for review, and fail a pipeline if there are changes
  reconcile plan manifests --out plan.json --detailed-exitcode
  # Plan without credentials, from a snapshot
  reconcile plan manifests --against state.json";

pub(super) const RENDER: &str = "\
Examples:
  # Show the manifests of an environment after overlays and variables
  reconcile render base --overlay envs/prod --values prod-values.yaml
  # Show one document, with the place that decides each of its values
  reconcile render base --overlay envs/prod --target Instance/core-sw-1 -o json";

pub(super) const EXPLAIN: &str = "\
Examples:
  # Explain the values of a line
  reconcile explain network/racks.yaml:9
  # Explain one value of a file of an overlay
  reconcile explain envs/prod/racks.yaml:8:19 base --overlay envs/prod";

pub(super) const APPLY: &str = "\
Examples:
  # Plan, ask, and make the changes
  reconcile apply manifests
  # Apply exactly what was reviewed
  reconcile apply plan.json
  # Apply without a question, and bound the impact
  reconcile apply manifests --auto-approve --max-impact hosts=100
  # Try it on simulated servers
  reconcile apply manifests --sandbox";

pub(super) const RESUME: &str = "\
Examples:
  # Settle and finish all runs that were broken off
  reconcile resume
  # Settle one run and send nothing more of it
  reconcile resume --abandon 20261129T014000Z-0a1b";

pub(super) const SHOW: &str = "\
Examples:
  # Show a saved plan with its calls
  reconcile show plan.json --calls
  # Make a comment on a pull request of it
  reconcile show plan.json -o markdown";

pub(super) const DRIFT: &str = "\
Examples:
  # Show what somebody else changed, and who
  reconcile drift manifests
  # Fail a scheduled job if there are differences
  reconcile drift manifests --detailed-exitcode -o json";

pub(super) const WATCH: &str = "\
Examples:
  # Keep the platforms as the manifests say
  reconcile watch manifests
  # Report drift and write nothing
  reconcile watch manifests --mode report --resync 15m
  # Look after one team's documents
  reconcile watch manifests -l team=net";

pub(super) const HISTORY: &str = "\
Examples:
  # List the newest runs
  reconcile history
  # Show what the last run changed
  reconcile history latest";

pub(super) const UNDO: &str = "\
Examples:
  # Plan how to put back what the last run changed, then look at it
  reconcile undo latest --out undo.json
  reconcile show undo.json";

pub(super) const SNAPSHOT: &str = "\
Examples:
  # Save the live state, and plan from it elsewhere
  reconcile snapshot manifests --out state.json
  reconcile plan manifests --against state.json";

pub(super) const REHEARSE: &str = "\
Examples:
  # Rehearse a plan with 100 schedules of faults
  reconcile rehearse plan.json --against state.json
  # Show the history of one schedule
  reconcile rehearse plan.json --against state.json --seed 17";

pub(super) const SANDBOX: &str = "\
Examples:
  # Serve both platforms on a free port
  reconcile sandbox --listen 127.0.0.1:0 --state examples/manifests/sandbox.yaml";

pub(super) const SCHEMA: &str = "\
Examples:
  # Let editors check and complete manifests
  reconcile schema manifest > manifest.json
  # The same with the fields and options of the models in a snapshot
  reconcile schema manifest --against live.json > manifest.json
  # Write the schema of plans to a file
  reconcile schema plan > plan.json";

pub(super) const LSP: &str = "\
Examples:
  # Serve the directory that the editor opened; editors start it themselves
  reconcile lsp
  # Look at manifests as an environment has them
  reconcile lsp base --overlay envs/prod --values prod-values.yaml
  # Show live values from the newest snapshot in a directory
  reconcile lsp --against snapshots";

pub(super) const COMPLETION: &str = "\
Examples:
  # Complete commands and flags in the current bash
  source <(reconcile completion bash)
  # Install the completions of zsh and fish
  reconcile completion zsh > ~/.zfunc/_reconcile
  reconcile completion fish > ~/.config/fish/completions/reconcile.fish";

pub(super) const MAN: &str = "\
Examples:
  # Write the man pages, then read one
  reconcile man share/man/man1
  man share/man/man1/reconcile-plan.1";

pub(super) const VERSION: &str = "\
Examples:
  # Print the version as a document
  reconcile version -o json";

pub(super) const EXPORT: &str = "\
Examples:
  # Write all switches and racks, and which stands where, as manifests
  reconcile export --kind Instance,InstanceAssociation --model bk_switch,bk_rack --out manifests
  # Show some fields of the switches in use
  reconcile export --kind Instance --model bk_switch --where 'status=In use' --fields status,operator
  # Add switches that no manifest declares to the files of the others
  reconcile export --kind Instance --model bk_switch --into manifests
  # Write a business with a file for each object, from a snapshot
  reconcile export --kind Set,Module,ServiceTemplate,ProcessTemplate --business shop --layout object --out shop --from state.json";

pub(super) const ADOPT: &str = "\
Examples:
  # Show what a patch of the manifests would take over from the servers
  reconcile adopt manifests
  # Take it over, and name in the commit who changed it
  reconcile adopt manifests --write | git commit -a -F -
  # The same for an environment
  reconcile adopt base --overlay envs/prod --values prod-values.yaml | git apply";

pub(super) const BLAME: &str = "\
Examples:
  # Show who changed what a manifest declares
  reconcile blame network/switches.yaml
  # The same for a file of an environment
  reconcile blame envs/prod/switches.yaml base --overlay envs/prod";

pub(super) const IMPORT: &str = "\
Examples:
  # Show the manifests of a spreadsheet
  reconcile import switches.xlsx --model bk_switch
  # Write them, with the definitions of models from a snapshot
  reconcile import switches.xlsx --model bk_switch --from state.json --out manifests";

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use crate::cli::args::Cli;

    /// Returns the words of a command line; those in single quotes are one.
    fn words(line: &str) -> Vec<String> {
        let mut words = vec![String::new()];
        let mut is_quoted = false;
        for letter in line.chars() {
            match letter {
                '\'' => is_quoted = !is_quoted,
                ' ' if !is_quoted => words.push(String::new()),
                letter => words.last_mut().expect("there is one").push(letter),
            }
        }
        words
    }

    /// Returns the command lines of the program in a line of a shell.
    fn commands(line: &str) -> Vec<String> {
        let line = line.trim().trim_start_matches("source <(").trim_end_matches(')');
        let line = [" > ", " | "].iter().fold(line, |line, end| line.split_once(end).map_or(line, |(line, _)| line));
        if line.starts_with("reconcile ") { vec![line.to_owned()] } else { Vec::new() }
    }

    #[test]
    fn every_command_has_examples_that_it_takes() {
        for command in Cli::command().get_subcommands() {
            let name = command.get_name();
            let help = command.get_after_long_help().unwrap_or_else(|| panic!("{name} has no examples")).to_string();
            let (title, lines) = help.split_once('\n').expect("there is more than a title");
            assert_eq!(title, "Examples:", "{name}");
            let lines: Vec<String> = lines.lines().filter(|line| !line.starts_with("  #")).flat_map(commands).collect();
            let own = format!("reconcile {name}");
            assert!(lines.iter().any(|line| line.starts_with(&own)), "{name}: {lines:?}");
            for line in lines {
                let parsed = Cli::command().try_get_matches_from(words(&line));
                assert!(parsed.is_ok(), "{line}: {}", parsed.expect_err("it is wrong"));
            }
        }
    }
}
