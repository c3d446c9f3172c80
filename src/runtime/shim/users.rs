//! Who the container's process is, by the image's own /etc/passwd and /etc/group, as Docker reads
//! them.

/// Numbers for the kernel, and the home folder for the environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
    /// Supplementary groups, the primary one included.
    pub groups: Vec<u32>,
    pub home: String,
}

/// The image does not know a name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum UserError {
    #[error("unable to find user {0}: no matching entries in passwd file")]
    User(String),
    #[error("unable to find group {0}: no matching entries in group file")]
    Group(String),
}

struct Account<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

struct Group<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

/// Resolves `user[:group]` and further groups.
pub fn resolve(
    user: &str,
    groups: &[String],
    passwd: &str,
    group: &str,
) -> Result<User, UserError> {
    let (user, wanted_group) = user.split_once(':').unwrap_or((user, ""));
    let account = find_account(user, passwd);
    let uid = match (&account, user) {
        (Some(account), _) => account.uid,
        (None, "") => 0,
        (None, number) => number
            .parse()
            .map_err(|_| UserError::User(number.to_owned()))?,
    };
    let mut found = User {
        uid,
        gid: account.as_ref().map_or(0, |account| account.gid),
        groups: Vec::new(),
        home: account
            .as_ref()
            .map_or("/", |account| account.home)
            .to_owned(),
    };
    if wanted_group.is_empty() {
        let name = account.as_ref().map_or("", |account| account.name);
        found.groups = parse_groups(group)
            .filter(|group| group.has(name))
            .map(|g| g.gid)
            .collect();
    } else {
        found.gid = find_group(wanted_group, group)?;
    }
    for name in groups {
        found.groups.push(find_group(name, group)?);
    }
    // Without a list the kernel would leave the daemon's own groups in place.
    found.groups.insert(0, found.gid);
    found.groups.sort_unstable();
    found.groups.dedup();
    Ok(found)
}

impl Group<'_> {
    fn has(&self, member: &str) -> bool {
        !member.is_empty() && self.members.split(',').any(|name| name == member)
    }
}

fn find_account<'a>(user: &str, passwd: &'a str) -> Option<Account<'a>> {
    let number = if user.is_empty() {
        Some(0)
    } else {
        user.parse().ok()
    };
    let mut accounts = passwd.lines().filter_map(parse_account);
    accounts.find(|account| account.name == user || Some(account.uid) == number)
}

fn find_group(wanted: &str, group: &str) -> Result<u32, UserError> {
    let number = wanted.parse().ok();
    let mut groups = parse_groups(group);
    let named = groups.find(|group| group.name == wanted || Some(group.gid) == number);
    let gid = named.map(|group| group.gid).or(number);
    gid.ok_or_else(|| UserError::Group(wanted.to_owned()))
}

fn parse_account(line: &str) -> Option<Account<'_>> {
    let mut fields = line.split(':');
    let name = fields.next()?;
    let uid = fields.nth(1)?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    let home = fields.nth(1).filter(|home| !home.is_empty()).unwrap_or("/");
    Some(Account {
        name,
        uid,
        gid,
        home,
    })
}

fn parse_groups(group: &str) -> impl Iterator<Item = Group<'_>> {
    group.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let gid = fields.nth(1)?.parse().ok()?;
        Some(Group {
            name,
            gid,
            members: fields.next().unwrap_or(""),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/sh\n\nbad line\nweb:x:100:101::/srv:/bin/false";
    const GROUP: &str = "root:x:0:\nwww:x:101:\ndata:x:7:web,other\nwheel:x:10:root,web";

    #[track_caller]
    fn check(user: &str, groups: &[&str], expect: &str) {
        let groups: Vec<_> = groups.iter().map(|name| (*name).to_owned()).collect();
        let found = match resolve(user, &groups, PASSWD, GROUP) {
            Ok(User {
                uid,
                gid,
                groups,
                home,
            }) => format!("{uid} {gid} {groups:?} {home}"),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expect);
    }

    #[test]
    fn names_and_numbers_are_looked_up_in_the_image() {
        check("", &[], "0 0 [0, 10] /root");
        check("web", &[], "100 101 [7, 10, 101] /srv");
        check("100", &[], "100 101 [7, 10, 101] /srv");
        check("web:data", &[], "100 7 [7] /srv");
        check("web", &["5", "data"], "100 101 [5, 7, 10, 101] /srv");
    }

    #[test]
    fn unknown_numbers_are_taken_and_unknown_names_are_not() {
        check("1234", &[], "1234 0 [0] /");
        check("1234:4321", &[], "1234 4321 [4321] /");
        check(
            "who",
            &[],
            "unable to find user who: no matching entries in passwd file",
        );
        check(
            "web:who",
            &[],
            "unable to find group who: no matching entries in group file",
        );
        check(
            "-1",
            &[],
            "unable to find user -1: no matching entries in passwd file",
        );
    }
}
