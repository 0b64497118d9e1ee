// What a list of runs shows if no run matches its search and filters.
import { setQuery } from "../state/route";
import { EmptyState } from "../ui/feedback";

export function NoRunMatches() {
  return (
    <EmptyState title="No run matches">
      <p>No run of this project matches the search and all filters.</p>
      <p class="row">
        <button class="button" onClick={() => setQuery({ find: null, f: null })}>
          Clear search and filters
        </button>
      </p>
    </EmptyState>
  );
}
