// What who is logged in may do; asked for once by the views that offer changes.
import { effect, signal } from "@preact/signals";
import { call } from "../api/client";
import type { Account } from "../api/contract";
import { user } from "./user";

const account = signal<Account | null>(null);
let requestedFor: unknown = null;

effect(() => {
  if (!user.value) requestedFor = account.value = null; // another may log in
});

/** Whether the user may change things of this team ("-": the user's own); undefined until it is known. */
export function writePermission(team: string): boolean | undefined {
  if (user.value && requestedFor !== user.value) {
    requestedFor = user.value;
    call("GetAccount", {}).then(
      (found) => (account.value = found),
      () => (requestedFor = null), // the next view asks again
    );
  }
  const known = account.value;
  if (!known) return undefined;
  const name = team === "-" ? known.default_team : team;
  return known.teams.some((item) => item.team === name && item.role !== "viewer");
}

/** False until it is known, too: for what is not offered at all to who may only read. */
export function canWrite(team: string): boolean {
  return writePermission(team) ?? false;
}

/** For buttons that change something: off, with the reason, for who may only read. */
export function editProps(team: string): { disabled?: true; title?: string } {
  return writePermission(team) === false
    ? {
        disabled: true,
        title: `You can only read in team ${team === "-" ? account.value!.default_team : team}. Ask its administrator for the role "member" to make changes.`,
      }
    : {};
}
