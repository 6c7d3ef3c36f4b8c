//! `hookflash simulate telphin`: the simulator as a program of its own.

use std::net::SocketAddr;

use super::{Conditions, Config, Directory, Method, OauthApp, Simulator, Traffic};

/// Runs a PBX for trying an integration without an account.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Address to listen on; port 0 takes any free one.
    #[arg(long, default_value = "127.0.0.1:8090")]
    pub bind: SocketAddr,
    /// Id of the trusted application that may get tokens.
    #[arg(long, default_value = "app")]
    pub client_id: String,
    /// Its secret.
    #[arg(long, default_value = "secret")]
    pub client_secret: String,
    /// PBX login, the last part of the hook URLs.
    #[arg(long, default_value = "TLP55522")]
    pub login: String,
    /// Number of the application at the server.
    #[arg(long, default_value_t = 807)]
    pub app: u64,
    /// Where the server is: the IVR asks it first, and it gets the events of all extensions.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    pub hookflash_url: String,
    /// Begin without subscriptions and IVR rules.
    #[arg(long)]
    pub bare: bool,
    /// Calls a minute; 0 makes none, `/_sim/call` starts one.
    #[arg(long, default_value_t = 0.0)]
    pub rate: f64,
    /// Decides which calls come.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Pace of the calls: 10 is ten times as fast as life.
    #[arg(long, default_value_t = 1.0)]
    pub speed: f64,
    /// Requests that the API allows in an hour.
    #[arg(long, default_value_t = 10_000)]
    pub hourly_limit: u64,
}

/// Runs until Ctrl-C.
///
/// # Errors
/// The address cannot be bound.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let hooks = format!("{}/cid/{}", args.hookflash_url.trim_end_matches('/'), args.app);
    let mut directory = Directory { login: args.login.clone(), ..Directory::sample() };
    if !args.bare {
        directory.ask_first("099", format!("{hooks}/getmanager/{}", args.login), Method::Post, "managerExt", "200");
    }
    anyhow::ensure!(args.speed > 0.0 && args.speed <= 10_000.0, "--speed is above 0 and at most 10000");
    let config = Config {
        bind: args.bind,
        directory,
        apps: vec![OauthApp::trusted(&args.client_id, &args.client_secret)],
        // Whoever runs a simulator says whom it talks to: a server in any network.
        allow_private: ["0.0.0.0/0", "::/0"].into_iter().filter_map(|net| net.parse().ok()).collect(),
        conditions: Conditions { speed: args.speed, hourly_limit: args.hourly_limit, ..Conditions::default() },
        ..Config::default()
    };
    let pbx = Simulator::start(config).await?;
    if !args.bare {
        pbx.subscribe_all(&format!("{hooks}/event/{}", args.login));
        pbx.subscribe_agents(&format!("{hooks}/agent/{}", args.login));
    }
    println!("{}", declaration(&args, &pbx.base_url()));
    let traffic = (args.rate > 0.0).then(|| {
        let callers = (1..=40).map(|n| format!("+7999555{n:04}")).collect();
        pbx.traffic(Traffic { per_minute: args.rate, seed: args.seed, callers, calls: None })
    });
    tokio::signal::ctrl_c().await?;
    if let Some(traffic) = traffic {
        traffic.stop();
    }
    pbx.stop().await;
    Ok(())
}

/// What to put into a declaration file, so that the server knows this PBX.
pub fn declaration(args: &Args, base_url: &str) -> String {
    let Args { app, login, client_id, client_secret, .. } = args;
    let phone =
        |id: &str, name: &str, number: &str| format!("[[application.agent]]\nid = \"{id}\"\nname = \"{name}\"\nextension = \"{number}\"\n");
    let agents = [phone("ann", "Ann Lee", "101"), phone("bob", "Bob Ray", "102"), phone("eve", "Eve Fox", "103")].join("\n");
    format!(
        "# Telphin simulator at {base_url}, control API under {base_url}/_sim/\n\
         # A call: curl -H 'Content-Type: application/json' -d '{{\"from\":\"+79995550001\",\"did\":\"74955550100\"}}' {base_url}/_sim/call\n\
         # Declare it with `hookflash apply FILE`; outbound.allow_private must list its network.\n\n\
         [[application]]\nid = {app}\nname = \"Simulated Telphin\"\npbx = \"telphin\"\nlogin = \"{login}\"\ncountry = \"RU\"\n\n\
         [application.telphin]\napi_url = \"{base_url}\"\nclient_id = \"{client_id}\"\nclient_secret = \"{client_secret}\"\n\
         client_prefix = \"0047\"\nvariable = \"managerExt\"\n\n{agents}\n\
         [[application.extension]]\nnumber = \"099\"\ntype = \"ivr\"\n\n\
         [[application.extension]]\nnumber = \"200\"\ntype = \"queue\"\n"
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn the_declaration_is_toml_with_what_was_asked_for() {
        let cli = Cli::parse_from(["x", "--app", "12", "--login", "TLP70001", "--client-secret", "s3"]);
        let text = declaration(&cli.args, "http://127.0.0.1:8090");
        let table: toml::Table = text.parse().unwrap();
        let app = &table["application"][0];
        assert_eq!((app["id"].as_integer(), app["login"].as_str()), (Some(12), Some("TLP70001")));
        assert_eq!(app["telphin"]["client_secret"].as_str(), Some("s3"));
        assert_eq!(app["agent"].as_array().map(Vec::len), Some(3));
    }
}
