//! Operators: made and invited, changed, disabled; each one's own page; and the sessions in which they are signed in.

use axum::extract::Path;
use bss_model::{NewOperator, OperatorRole};
use host_harness::view;
use http::{HeaderMap, Uri};
use minijinja::{Value, context};
use uuid::Uuid;

use crate::answer::{Answer, done};
use crate::failure::Failure;
use crate::form::Form;
use crate::me::Me;
use crate::pages::house;

/// Shows all operators, and the form for another one.
pub(crate) async fn list(me: Me) -> Answer {
    me.page("operators.html", shown(&me, None, None).await?).await
}

/// Makes an operator, and shows the invitation this once.
pub(crate) async fn create(me: Me, headers: HeaderMap, uri: Uri, form: Form) -> Answer {
    let new = NewOperator {
        name: form.text("name"),
        role: role(&form)?,
        may_reveal: form.has("may-reveal"),
    };
    match me.host().create_operator(new, &me.actor()).await {
        Ok(invited) => show_invitation(&me, &invited, &house::base_url(&headers, &uri)).await,
        Err(error) => {
            let problem = house::problem("name", Failure::of(&error))?;
            let shown = shown(&me, Some(&form), Some(problem)).await?;
            me.corrected("operators.html", shown).await
        }
    }
}

/// Shows an operator, what can be changed, and the sessions.
pub(crate) async fn show(me: Me, Path(name): Path<String>) -> Answer {
    let operator = of_name(&me, &name).await?;
    let sessions = me.host().operator_sessions(operator.id).await?;
    let is_me = operator.id == me.operator().id;
    let roles = house::words(OperatorRole::ALL, OperatorRole::word);
    let present = me.session().id;
    let shown = context! { operator, sessions, is_me, roles, present };
    me.page("operator.html", shown).await
}

/// Changes what an operator may do.
pub(crate) async fn change(me: Me, Path(name): Path<String>, form: Form) -> Answer {
    let (role, may_reveal) = (role(&form)?, form.has("may-reveal"));
    // An operator's own rights are another administrator's to change.
    if name == me.operator().name {
        return Err(Failure::not_oneself());
    }
    me.host()
        .change_operator(&name, role, may_reveal, &me.actor())
        .await?;
    Ok(done("/console/operators", "operator-changed"))
}

/// Invites an operator to choose another password, and shows the invitation this once.
pub(crate) async fn invite(me: Me, Path(name): Path<String>, headers: HeaderMap, uri: Uri) -> Answer {
    let invited = me.host().invite_operator(&name, &me.actor()).await?;
    show_invitation(&me, &invited, &house::base_url(&headers, &uri)).await
}

/// Keeps an operator from signing in, once that was confirmed.
pub(crate) async fn disable(me: Me, Path(name): Path<String>, form: Form) -> Answer {
    if !form.has("confirmed") {
        let operator = of_name(&me, &name).await?;
        let sessions = me.host().operator_sessions(operator.id).await?.len();
        let is_me = operator.id == me.operator().id;
        let shown = context! { operator, sessions, is_me };
        return me.page("operator_disable.html", shown).await;
    }
    if name == me.operator().name {
        return Err(Failure::not_oneself());
    }
    me.host().disable_operator(&name, &me.actor()).await?;
    Ok(done("/console/operators", "operator-disabled"))
}

/// Lets a disabled operator sign in again.
pub(crate) async fn enable(me: Me, Path(name): Path<String>) -> Answer {
    me.host().enable_operator(&name, &me.actor()).await?;
    Ok(done("/console/operators", "operator-enabled"))
}

/// Ends a session of an operator.
pub(crate) async fn end_session(me: Me, Path((name, session)): Path<(String, String)>) -> Answer {
    let operator = of_name(&me, &name).await?;
    let session = house::id(&session)?;
    me.host()
        .end_operator_session(operator.id, session, &me.actor())
        .await?;
    // A name has no character that means something in an address.
    Ok(done(
        &format!("/console/operators/{}", operator.name),
        "session-ended",
    ))
}

/// Shows who is signed in, what he or she may do, and the sessions.
pub(crate) async fn show_me(me: Me) -> Answer {
    let operator = view::Operator::from(me.operator());
    let sessions = me.host().operator_sessions(me.operator().id).await?;
    let present = me.session().id;
    let shown = context! { operator, sessions, present };
    me.page("me.html", shown).await
}

/// Ends a session of whoever is signed in, or all others.
pub(crate) async fn end_mine(me: Me, form: Form) -> Answer {
    let mine = me.operator().id;
    let ended: Vec<Uuid> = match form.filled("session") {
        Some(session) => vec![house::id(&session)?],
        None => {
            let sessions = me.host().operator_sessions(mine).await?;
            let others = sessions.iter().map(|session| session.id);
            others.filter(|session| *session != me.session().id).collect()
        }
    };
    for session in ended {
        me.host().end_operator_session(mine, session, &me.actor()).await?;
    }
    Ok(done("/console/me", "session-ended"))
}

async fn shown(me: &Me, form: Option<&Form>, problem: Option<Value>) -> Result<Value, Failure> {
    let operators = me.host().operators().await?;
    let roles = house::words(OperatorRole::ALL, OperatorRole::word);
    let typed = form.map(house::typed).unwrap_or_default();
    let typed = Value::from_serialize(typed);
    Ok(context! { operators, roles, typed, problem })
}

async fn show_invitation(me: &Me, invited: &view::InvitedOperator, base_url: &str) -> Answer {
    let name = &invited.operator.name;
    let invitation = format!("{base_url}{}", invited.invitation.expose());
    me.page("operator_invited.html", context! { name, invitation })
        .await
}

/// The operator of a name.
async fn of_name(me: &Me, name: &str) -> Result<view::Operator, Failure> {
    let operators = me.host().operators().await?;
    let found = operators.into_iter().find(|operator| operator.name == name);
    found.ok_or_else(Failure::no_page)
}

fn role(form: &Form) -> Result<OperatorRole, Failure> {
    let role = form.text("role");
    house::of_word(OperatorRole::ALL, OperatorRole::word, &role).ok_or_else(Failure::broken_form)
}
