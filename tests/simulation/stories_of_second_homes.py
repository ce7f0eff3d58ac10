"""Stories about writes that were given to two homes, each with the rule that it shows."""

from tests.simulation import directed_second_homes
from tests.simulation.mutants_of_merged_values import an_element_comes_back_under_its_other_name
from tests.simulation.mutants_of_second_homes import (
    a_context_does_not_name_open_writes,
    a_second_home_replaces_all_that_it_has,
    names_go_with_the_marks_of_their_deletes,
)

STORIES_OF_SECOND_HOMES = [
    (
        directed_second_homes.two_homes_take_two_writes_in_turn,
        a_second_home_replaces_all_that_it_has,
    ),
    (
        directed_second_homes.a_client_reads_one_name_and_writes_at_the_home_of_the_other,
        a_context_does_not_name_open_writes,
    ),
    (
        directed_second_homes.a_delete_comes_once_more_when_its_mark_is_gone,
        names_go_with_the_marks_of_their_deletes,
    ),
    (
        directed_second_homes.an_element_is_removed_where_it_has_one_of_two_names,
        an_element_comes_back_under_its_other_name,
    ),
]
