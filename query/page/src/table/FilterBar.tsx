// Conditions as chips, and a form that adds one.
import { useState } from "preact/hooks";
import { type Condition, conditionToText, OPERATORS, type Operator } from "../project/filters";
import { setQuery } from "../state/route";
import { Icon } from "../ui/Icon";
import { Menu } from "../ui/Menu";

export function FilterBar({ conditions, fields }: { conditions: readonly Condition[]; fields: readonly string[] }) {
  const setConditions = (next: readonly Condition[]) => setQuery({ f: next.map(conditionToText) }, false);
  return (
    <div class="filters">
      {conditions.map((item, index) => (
        <span class="chip" key={conditionToText(item)}>
          <span class="clip">
            <b>{item.field}</b> {item.operator} {item.value}
          </span>
          <button
            class="icon-button small"
            aria-label={`Remove the filter on ${item.field}`}
            onClick={() => setConditions(conditions.filter((_, i) => i !== index))}
          >
            <Icon name="close" size={12} />
          </button>
        </span>
      ))}
      <Menu
        label="Add a filter"
        button={
          <span class="menu-word">
            <Icon name="sliders" size={14} /> Filter
          </span>
        }
        keepOpen
        class="wide"
      >
        <ConditionForm fields={fields} add={(item) => setConditions([...conditions, item])} />
      </Menu>
    </div>
  );
}

function ConditionForm({ fields, add }: { fields: readonly string[]; add: (condition: Condition) => void }) {
  const [field, setField] = useState("");
  const [operator, setOperator] = useState<Operator>("=");
  const [value, setValue] = useState("");
  return (
    <form
      class="condition"
      onSubmit={(event) => {
        event.preventDefault();
        add({ field: field.trim(), operator, value });
        setField("");
        setValue("");
      }}
    >
      <label>
        Field
        <input
          class="text-input"
          list="filter-fields"
          required
          autofocus
          value={field}
          placeholder="config.lr"
          onInput={(event) => setField(event.currentTarget.value)}
        />
      </label>
      <datalist id="filter-fields">
        {fields.slice(0, 2000).map((name) => (
          <option key={name} value={name} />
        ))}
      </datalist>
      <label>
        Condition
        <select
          class="select"
          value={operator}
          onChange={(event) => setOperator(event.currentTarget.value as Operator)}
        >
          {Object.keys(OPERATORS).map((name) => (
            <option key={name}>{name}</option>
          ))}
        </select>
      </label>
      <label>
        Value
        <input
          class="text-input"
          value={value}
          placeholder={operator === "exists" ? "yes or no" : operator === "one of" ? "a, b, c" : ""}
          onInput={(event) => setValue(event.currentTarget.value)}
        />
      </label>
      <button class="button primary" type="submit">
        Add
      </button>
    </form>
  );
}
