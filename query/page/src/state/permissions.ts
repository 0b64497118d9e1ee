// The permissions of the user. They are loaded once, by the first view that offers changes.
import { effect, signal } from "@preact/signals";
import { call } from "../api/client";
import type { Account } from "../api/contract";
import { user } from "./user";

const account = signal<Account | null>(null);
let requestedFor: unknown = null;

effect(() => {
  if (!user.value) requestedFor = account.value = null; // another user may log in
});

/** Return whether the user may change things of this team ("-": the default team), or undefined until it is known. */
function writePermission(team: string): boolean | undefined {
  if (user.value && requestedFor !== user.value) {
    requestedFor = user.value;
    call("GetAccount", {}).then(
      (found) => (account.value = found),
      () => (requestedFor = null), // the next view loads it again
    );
  }
  const known = account.value;
  if (!known) return undefined;
  const name = team === "-" ? known.default_team : team;
  return known.teams.some((item) => item.team === name && item.role !== "viewer");
}

/** Return whether to offer changes at all. It is false until the permissions are known. */
export function canWrite(team: string): boolean {
  return writePermission(team) ?? false;
}

/** Return the props of a button that changes something: disabled, with the reason, for users who may only read. */
export function editProps(team: string): { disabled?: true; title?: string } {
  if (writePermission(team) !== false) return {};
  const name = team === "-" ? account.value!.default_team : team;
  const reason = `You can only read in team ${name}.`;
  return { disabled: true, title: `${reason} Ask its administrator for the role "member" to make changes.` };
}
