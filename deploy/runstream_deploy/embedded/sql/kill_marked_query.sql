-- End the query whose comment begins with a mark. Parameters: mark.
KILL QUERY WHERE startsWith(Settings['log_comment'], {mark:String}) ASYNC
