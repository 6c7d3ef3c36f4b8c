//! What AMI is asked to do, as data.

use super::wire::Block;

/// One request. `ActionID` is the connection's to add, where the request has none of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    block: Block,
    is_list: bool,
    /// The first thing that could not be written.
    wrong: Option<String>,
}

/// A value that AMI could not be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} holds what a line of AMI cannot: a line's end, a zero byte, or too much text")]
pub struct Unwritable(pub String);

/// Asterisk reads no line that is longer.
const LONGEST: usize = 1_024;

impl Action {
    pub fn new(name: &str) -> Action {
        Action { block: Block::default(), is_list: false, wrong: None }.field("Action", name)
    }

    /// One more line. A value that would end its line, and so begin another, makes the whole action unwritable.
    pub fn field(mut self, key: &str, value: &str) -> Action {
        let breaks = |text: &str| text.chars().any(|c| matches!(c, '\r' | '\n' | '\0'));
        if breaks(key) || breaks(value) || key.contains(':') || key.len() + value.len() > LONGEST - 4 {
            self.wrong.get_or_insert_with(|| key.chars().filter(|c| !c.is_control()).take(50).collect());
            return self;
        }
        self.block = self.block.with(key, value);
        self
    }

    /// Answered by a list of events up to one that says `EventList: Complete`.
    pub fn list(mut self) -> Action {
        self.is_list = true;
        self
    }

    pub fn is_list(&self) -> bool {
        self.is_list
    }

    pub fn name(&self) -> &str {
        self.block.raw("Action").unwrap_or_default()
    }

    /// Its own `ActionID`.
    pub fn id(&self) -> Option<&str> {
        self.block.raw("ActionID")
    }

    /// As it goes over the wire; `id` is what it is told apart by, where it has no id of its own.
    ///
    /// # Errors
    /// [`Unwritable`]: a value would have been read as something else than itself.
    pub fn encode(&self, id: &str) -> Result<Vec<u8>, Unwritable> {
        match &self.wrong {
            Some(key) => Err(Unwritable(key.clone())),
            None if self.id().is_some() => Ok(self.block.encode()),
            None => Ok(self.block.clone().with("ActionID", id).encode()),
        }
    }

    /// Logs in without events: they are asked for when everything is ready for them.
    pub fn login(user: &str, secret: &str) -> Action {
        Action::new("Login").field("Username", user).field("Secret", secret).field("Events", "off")
    }

    pub fn ping() -> Action {
        Action::new("Ping")
    }

    pub fn logoff() -> Action {
        Action::new("Logoff")
    }

    /// Which classes of events are told from now on: what calls do, and the PBX's own queues.
    pub fn events() -> Action {
        Action::new("Events").field("EventMask", "system,call,agent")
    }

    /// Every channel that is up.
    pub fn channels() -> Action {
        Action::new("CoreShowChannels").list()
    }

    /// Every device with its state.
    pub fn devices() -> Action {
        Action::new("DeviceStateList").list()
    }

    /// Every line of one context.
    pub fn dialplan(context: &str) -> Action {
        Action::new("ShowDialPlan").field("Context", context).list()
    }

    /// What a function of the dialplan says, on no channel.
    pub fn value(function: &str) -> Action {
        Action::new("Getvar").field("Variable", function)
    }

    /// Is refused whoever asks: for his rights, or because it names no channel.
    pub fn originate_nothing() -> Action {
        Action::new("Originate")
    }

    pub fn core_settings() -> Action {
        Action::new("CoreSettings")
    }

    pub fn core_status() -> Action {
        Action::new("CoreStatus")
    }
}

/// What an action was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub response: Block,
    /// Of a list: its events without the last, which says that it is complete.
    pub events: Vec<Block>,
}

impl Reply {
    pub fn message(&self) -> &str {
        self.response.get("Message").unwrap_or_default()
    }
}
