// What who is logged in may do; asked for once by the views that offer changes.
import { effect, signal } from "@preact/signals";
import { call } from "../api/client";
import type { Account } from "../api/contract";
import { user } from "./user";

const account = signal<Account | null>(null);
let asked: unknown = null;

effect(() => {
  if (!user.value) asked = account.value = null; // another may log in
});

/** Whether the user may change things of this team ("-": the user's own); undefined until it is known. */
export function rights(team: string): boolean | undefined {
  if (user.value && asked !== user.value) {
    asked = user.value;
    call("GetAccount", {}).then(
      (found) => (account.value = found),
      () => (asked = null), // the next view asks again
    );
  }
  const known = account.value;
  if (!known) return undefined;
  const name = team === "-" ? known.default_team : team;
  return known.teams.some((one) => one.team === name && one.role !== "viewer");
}

/** False until it is known, too: for what is not offered at all to who may only read. */
export function mayWrite(team: string): boolean {
  return rights(team) ?? false;
}

/** For buttons that change something: off, with the reason, for who may only read. */
export function changing(team: string): { disabled?: true; title?: string } {
  return rights(team) === false
    ? {
        disabled: true,
        title: `You may read what is in team ${team === "-" ? account.value!.default_team : team}, not change it: ask who manages it for the role "member"`,
      }
    : {};
}
