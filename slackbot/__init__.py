"""The companion Slack bot: shows runs, collects approvals, raises alerts; with a simulator to try it on."""
